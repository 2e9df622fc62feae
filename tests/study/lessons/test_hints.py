"""Hints come one after another, and the last of them is a line of the solution."""

import inspect

import pytest

from minivit.study.lessons.exercise import EXERCISES, asked, solved
from minivit.study.lessons.hints import hints, next_hint
from minivit.study.lessons.repair import REPAIRS


@pytest.mark.parametrize("name", [*EXERCISES, *REPAIRS])
def test_every_exercise_has_three(name):
    assert len(hints(name)) == 3


@pytest.mark.parametrize("name", EXERCISES)
def test_the_last_one_is_in_the_solution(name):
    line = hints(name)[-1]
    source = inspect.getsource(getattr(solved(name), asked(name)))
    assert line in source.replace("xp.", "np.")


def test_they_are_told_one_by_one_and_remembered(tmp_path):
    seen = tmp_path / "softmax_backward.hints"
    told = [next_hint("softmax", seen) for _ in range(4)]
    assert [text.partition(":")[0] for text in told[:3]] == [f"Hint {i} of 3" for i in (1, 2, 3)]
    assert told[2].endswith("average = (dy * y).sum(axis=-1, keepdims=True)")
    assert told[3] == f"There are no more hints; {seen} has all 3."
    assert seen.read_text(encoding="utf-8").splitlines() == told[:3]
