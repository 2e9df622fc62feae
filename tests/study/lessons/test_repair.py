"""Exercises in repair: a bug of the catalogue, its report, and a line that makes it right."""

import ast

import pytest

from minivit.checks.faults import faults
from minivit.study.lessons.exercise import EXERCISES
from minivit.study.lessons.repair import BUGS, REPAIRS, exercise_of, hints_of, repair
from tests.samples import sample
from tests.study.lessons.answers import graded_here


def test_every_repair_is_of_an_exercise_and_a_bug():
    assert set(BUGS) <= set(EXERCISES) and set(BUGS.values()) <= set(faults())
    assert [exercise_of(name) for name in REPAIRS] == list(BUGS)


@pytest.mark.parametrize("name", sample(REPAIRS, 2))
def test_it_is_wrong_as_it_stands_and_right_when_repaired(name, tmp_path):
    text, fault = repair(name, "the command"), REPAIRS[name]
    ast.parse(text)
    path = tmp_path / "answer.py"
    path.write_text(text, encoding="utf-8")
    graded = graded_here(path, exercise_of(name))
    assert graded.cause and graded.points < 1
    assert "the command" in text and fault.bug not in text
    assert ("\nWRONG" if name == "repair_adam" else "\nNot right: ") in text
    for diff in fault.change.values():
        for hunk in diff.strip("\n").split("\n\n"):
            lines = hunk.splitlines()
            wrong = [line[1:].strip() for line in lines if line[0] == "+"]
            right = [line[1:].strip() for line in lines if line[0] == "-"]
            (first,) = [line for line in text.splitlines() if line.strip() == wrong[0]]
            indent = first[: len(first) - len(first.lstrip())]
            old = "\n".join(indent + line for line in wrong)
            assert old in text
            text = text.replace(old, "\n".join(indent + line for line in right))
    path.write_text(text, encoding="utf-8")
    assert graded_here(path, exercise_of(name)).cause is None


def test_hints_go_from_the_place_to_the_line():
    place, bug, lines = hints_of("repair_attention")
    assert place == "It is in backward."
    assert bug == faults()["keys_not_transposed"].bug
    assert lines.endswith("xp.matmul(dscores.mT, q, out=dk)")
