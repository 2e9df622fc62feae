import io

from demos import find_the_bug
from demos.options import command
from minivit.checks.faults import faults


def play(monkeypatch, capsys, *commands, seed=4):
    """What the game prints, and its exit status."""
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(commands) + "\n"))
    status = find_the_bug.main(["--seed", str(seed)])
    return capsys.readouterr().out, status


def test_the_symptoms_come_first_and_the_answer_last(monkeypatch, capsys):
    printed, status = play(monkeypatch, capsys, "", "give_up")
    assert status == 1
    assert "A bug is switched on in the engine" in printed
    assert "verdict" in printed or "WRONG" in printed
    assert f"\nThe same bug again: {command('find_the_bug', '--seed', 4)}\n" in printed
    assert printed.endswith(f": {command('check_gradients')}\n")
    (_,) = [name for name in faults() if f"\n{name}: {faults()[name].bug} (" in printed]
    assert printed.count("bug>") == 2


def test_a_right_guess_ends_the_game(monkeypatch, capsys):
    printed, _ = play(monkeypatch, capsys, "give_up")
    (name,) = [name for name in faults() if f"\n{name}: {faults()[name].bug} (" in printed]
    other = next(other for other in faults() if other != name)
    commands = ["hint", "hint", f"guess {other}", "guess", "guess nothing", f"guess {name}", "hint"]
    printed, status = play(monkeypatch, capsys, *commands)
    assert status == 0
    assert "No, that is not it." in printed
    assert "nothing is not in the list of bugs" in printed
    assert "That is not in the list of bugs" in printed
    assert "Right (guesses: 2, hints: 2)." in printed


def test_hints_lists_and_sources(monkeypatch, capsys):
    commands = ["hint"] * 5 + [
        "help",
        "list",
        "look",
        "look losses.cross_entropy.cross_entropy",
        "look nothing",
    ]
    printed, _ = play(monkeypatch, capsys, *commands)  # the end of input ends the game
    assert "It is in " in printed
    assert "There are no more hints." in printed
    assert printed.count("A bug is switched on in the engine") == 2
    assert all(f"{name}: {fault.bug}" in printed for name, fault in faults().items())
    assert printed.count("look NAME, one of") == 2
    assert "def cross_entropy(" in printed


def test_the_curves_are_drawn(monkeypatch, capsys):
    monkeypatch.setattr("minivit.study.lessons.bug_hunt.Hunt.curves", lambda self: "both curves")
    assert "both curves" in play(monkeypatch, capsys, "curve")[0]


def test_ctrl_c_ends_the_game_with_one_line(monkeypatch, capsys):
    def stop(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(find_the_bug.Game, "cmdloop", stop)
    assert find_the_bug.main(["--seed", "1"]) == 130
    assert capsys.readouterr() == ("", "\nfind_the_bug: stopped\n")


def test_without_a_seed_the_bug_is_any(monkeypatch, capsys):
    monkeypatch.setattr("random.randrange", lambda most: 77)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    find_the_bug.main([])
    assert " --seed 77\n" in capsys.readouterr().out
