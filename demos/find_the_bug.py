"""Find the bug: one of the catalogue is switched on secretly, and you see what it does."""

import cmd
import random
import sys

import minivit
from minivit.checks.faults import faults
from minivit.study.bug_hunt import Hunt

from .options import command, parser_of, seed, status

INTRO = """\
A bug has been switched on in the engine. This is the check that fails:

{symptoms}

curve          train a small model with it and without it (some seconds)
look           list the functions where it may be; look NAME shows the source as it is now
hint           get a hint, up to four
list           list all the bugs that it may be
guess NAME     name the bug
give_up        be told
"""


def arguments(argv=None):
    parser = parser_of("find_the_bug", __doc__)
    parser.add_argument("--seed", type=seed, help="decides on the bug; without one, any")
    return parser.parse_args(argv)


class Game(cmd.Cmd):
    """The commands of the game; each prints, and True ends it."""

    prompt = "\nbug> "

    def __init__(self, hunt):
        super().__init__()
        self.hunt, self.found, self.guesses = hunt, False, 0
        self.intro = INTRO.format(symptoms=hunt.symptoms())

    def do_curve(self, _):
        """Train a small model with the bug and without it, and show both losses."""
        print(self.hunt.curves())

    def do_look(self, place):
        """look: the functions where the bug may be. look NAME: the source as it is now."""
        print(self.hunt.source(place) or "\n".join(["look NAME, one of", *self.hunt.places()]))

    def do_hint(self, _):
        """Get the next hint."""
        print(self.hunt.hint() or "There are no more hints.")

    def do_list(self, _):
        """List all the bugs that it may be."""
        print("\n".join(f"{name}: {fault.bug}" for name, fault in faults().items()))

    def do_guess(self, name):
        """guess NAME: name the bug."""
        if name not in faults():
            print(f"{name or 'That'} is no bug of the list; `list` shows them")
            return False
        self.guesses += 1
        self.found = name == self.hunt.fault.name
        print(f"Right, with {self.guesses} guess(es) and {self.hunt.hints_given} hint(s)."
              if self.found else "No, that is not it.")  # fmt: skip
        return self.found

    def do_give_up(self, _):
        """Be told which bug it is."""
        return True

    do_EOF = do_give_up

    def emptyline(self):
        """An empty line does nothing (and does not repeat the last command)."""

    def postloop(self):
        print(f"\n{self.hunt.fault}")


def main(argv=None):
    return status("find_the_bug", lambda: play(arguments(argv)))


def play(options):
    """Play a game; return 0 if the bug was found, else 1."""
    seed = random.randrange(10**6) if options.seed is None else options.seed
    train = minivit.load_digits("mnist").train
    game = Game(Hunt(seed, train.images[:1000], train.labels[:1000]))
    try:
        game.cmdloop()
    except KeyboardInterrupt:
        game.postloop()
    print(f"\nThe same bug again: {command('find_the_bug', '--seed', seed)}")
    return 0 if game.found else 1


if __name__ == "__main__":
    sys.exit(main())
