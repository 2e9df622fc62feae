"""Find the bug: one of the catalogue is secretly switched on, and you see what it does."""

import cmd
import random
import sys

import minivit
from minivit.checks.faults import faults
from minivit.study.lessons.bug_hunt import Hunt

from .options import command, parser_of, propose, seed, status

INTRO = """\
A bug is switched on in the engine. This is the check that fails:

{symptoms}

curve          train a small model with the bug and without it (some seconds)
look           list the functions that may have it; look NAME shows the source as it runs now
hint           get a hint, up to four
list           list all bugs that it may be
guess NAME     name the bug
give_up        see the answer
"""


def arguments(argv=None):
    parser = parser_of("find_the_bug", __doc__)
    parser.add_argument("--seed", type=seed, help="draws the bug; without one, any")
    return parser.parse_args(argv)


class Game(cmd.Cmd):
    """The commands of the game; one that returns True ends it."""

    prompt = "\nbug> "

    def __init__(self, hunt):
        super().__init__()
        self.hunt, self.solved, self.guesses = hunt, False, 0
        self.intro = INTRO.format(symptoms=hunt.symptoms())

    def do_help(self, _):
        print(self.intro)

    def do_curve(self, _):
        print(self.hunt.curves())

    def do_look(self, place):
        print(self.hunt.source(place) or "\n".join(["look NAME, one of", *self.hunt.places()]))

    def do_hint(self, _):
        print(self.hunt.hint() or "There are no more hints.")

    def do_list(self, _):
        print("\n".join(f"{name}: {fault.bug}" for name, fault in faults().items()))

    def do_guess(self, name):
        if name not in faults():
            print(f"{name or 'That'} is not in the list of bugs; `list` shows it")
            return False
        self.guesses += 1
        self.solved = name == self.hunt.fault.name
        score = f"guesses: {self.guesses}, hints: {self.hunt.hints_given}"
        print(f"Right ({score})." if self.solved else "No, that is not it.")
        return self.solved

    def do_give_up(self, _):
        return True

    do_EOF = do_give_up

    def emptyline(self):
        """Do nothing, instead of repeating the last command."""

    def postloop(self):
        print(f"\n{self.hunt.fault}")


def main(argv=None):
    return status("find_the_bug", lambda: play(arguments(argv)))


def play(options):
    """Play a game; return 0 if the player found the bug, else 1."""
    seed = random.randrange(10**6) if options.seed is None else options.seed
    train = minivit.load_digits("mnist").train
    game = Game(Hunt(seed, train.images[:1000], train.labels[:1000]))
    game.cmdloop()
    print(f"\nThe same bug again: {command('find_the_bug', '--seed', seed)}")
    propose("run the engine's own checks", "check_gradients")
    return 0 if game.solved else 1


if __name__ == "__main__":
    sys.exit(main())
