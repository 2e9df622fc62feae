"""A sample of the attacks in tests/attacks/, whose commands run all of them."""

import pytest

from minivit.checks.faults import faults, planted
from tests.attacks import flipped_bits, planted_bugs, right_layers
from tests.attacks.planted_bugs import FILES, Bug, bugs, judged


@pytest.mark.slow
def test_no_right_layer_is_accused(capsys):
    outcomes = right_layers.main(["--count", "50", "--seed", "1"])
    assert outcomes["accused"] == 0, capsys.readouterr().out
    assert outcomes["right"] > 45


def test_a_case_is_the_same_in_every_run():
    one, other = (right_layers.drawn(0, 3) for _ in "ab")
    assert one.described == other.described
    assert str(one.check()) == str(other.check())


@pytest.mark.slow
@pytest.mark.thorough
def test_of_a_sample_of_planted_bugs_all_are_caught_and_none_is_misread(capsys):
    """Half a minute. The command itself should miss three of 60 at most."""
    counts = planted_bugs.main(["--name", *list(bugs("bugs.toml"))[::24]])
    assert counts["missed"] == 0, capsys.readouterr().out
    assert counts["misleading"] == 0, capsys.readouterr().out


@pytest.mark.parametrize("file", FILES)
def test_every_bug_can_be_planted(file):
    assert len(bugs(file)) == 60
    for bug in bugs(file).values():
        with planted(bug):
            pass


def test_no_bug_is_there_twice_or_in_the_catalogue():
    every = [*faults().values(), *(bug for file in FILES for bug in bugs(file).values())]
    assert len({bug.name for bug in every}) == len(every)
    assert len({str(bug.change) for bug in every}) == len(every)


@pytest.mark.parametrize(
    "said, expected",
    [
        ({}, ("missed", False)),
        ({"linear": ["x: the factor w is missing"]}, ("explained", False)),
        ({"linear": ["x: the factor w is missing", "float32 inside"]}, ("explained", True)),
        ({"linear": ["x: float32 inside"]}, ("unclear", True)),
        ({"linear": ["x: cause unknown: not a multiple"]}, ("vague", False)),
        ({"linear": ["raises KeyError: 'w'"]}, ("unclear", False)),
    ],
)
def test_a_bug_is_judged_by_what_is_said(said, expected):
    bug = Bug("odd", "", "", ["factor w"], ["float32"], {})
    assert judged(bug, said) == expected


def test_what_is_said_of_a_layer_inside_counts_once():
    said = {"linear": ["x: it is 2 times"], "vit": ["head is wrong on its own: x: it is 3 times"]}
    assert planted_bugs.different(said) == {"x: it is 2 times": "linear"}


@pytest.mark.slow
def test_no_flipped_bit_is_silently_used(capsys):
    counts = flipped_bits.attack(flips=150, seed=1)
    outcomes = {what for _, what in counts}
    assert outcomes == {"refused", "no effect"}, capsys.readouterr().out
    refused = {name for name, what in counts if what == "refused"}
    assert {"config.json", "metrics.csv", "training.json", "weights.safetensors"} <= refused
