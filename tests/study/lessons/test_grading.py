"""Right answers pass, and wrong ones are refused for the right reason, whatever they try."""

import re

import numpy as np
import pytest

from minivit.checks.suite import CASES
from minivit.layers import Softmax
from minivit.study.lessons import grading
from minivit.study.lessons.exercise import EXERCISES
from minivit.study.lessons.grading import grade, grade_class, judge, run_answer
from tests.study.lessons.answers import written

RIGHT = "y * (dy - (dy * y).sum(-1, keepdims=True))"
RIGHT_LINES = f'y = cache["y"]\ndx = {RIGHT}\n'
WRONG = 'return dy * cache["y"]'
SOFTMAX = 'y = cache["y"]\nreturn {}'


def graded_here(path, name):
    """The grade without a process of its own, which takes a second to start."""
    return judge(run_answer(path, name), name)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_engines_own_lines_are_right(tmp_path, name):
    report, problem = graded_here(written(tmp_path, name), name)
    assert problem is None and "(complex, full)." in report


def test_a_right_answer_passes_in_a_process_of_its_own(tmp_path, capfd):
    path = written(tmp_path, "softmax", "print('learner')\n" + RIGHT_LINES + "return dx")
    report, problem = grade(path, "softmax")
    assert problem is None and "(complex, full)." in report
    assert "learner" in capfd.readouterr().out


@pytest.mark.parametrize(
    "name, body, problem",
    [
        ("softmax", 'raise NotImplementedError("no")', 'line {}, `raise NotImplementedError("no'),
        ("softmax", SOFTMAX.format("dy * z"), "line {}, `return dy * z`: NameError: name 'z'"),
        ("softmax", "return None", "its gradients are wrong"),
        ("softmax", SOFTMAX.format("dy * y"), "its gradients are wrong"),
        ("softmax", SOFTMAX.format(RIGHT + " + np.zeros(1)"), "for float32 numbers dx is float64"),
        ("linear", 'grads["w"] += dy.T @ cache["x"]', "ValueError"),
        ("positions", 'grads["pos"][...] = dy.sum(axis=0)\nreturn dy.copy()', "its gradients are"),
    ],
)
def test_an_answer_that_is_not_right_is_told_why(tmp_path, name, body, problem):
    path = written(tmp_path, name, body)
    report, actual = graded_here(path, name)
    lines = path.read_text(encoding="utf-8").splitlines()
    (line,) = [number for number, text in enumerate(lines, 1) if body.splitlines()[-1] in text]
    assert problem.format(line) in actual
    assert ("verdict" in report) == ("line" not in actual)


def test_an_answer_that_is_right_at_one_input_only(tmp_path):
    make, shape, _ = CASES["softmax"]
    x = np.random.default_rng(0).standard_normal(shape)
    known = [make().forward(array)[0].sum(axis=-2).tolist() for array in (x, x[::-1])]
    known = f"any(np.allclose(y.sum(-2), known) for known in {known} if y.shape == {shape})"
    body = RIGHT_LINES + f"return dx if {known} else dx * 2"
    report, problem = graded_here(written(tmp_path, "softmax", body), "softmax")
    assert problem == "its gradients are wrong"  # gradcheck tries other inputs, too
    assert "it is right at the x that was given, but not" in report


@pytest.mark.parametrize(
    "name, body, shape",
    [
        ("mean_pool", "return (dy / 3)[:, None].repeat(3, axis=1)", r"\(2, 6, 5\)"),
    ],
)
def test_an_answer_for_one_size_only(tmp_path, name, body, shape):
    report, problem = graded_here(written(tmp_path, name, body), name)
    assert re.search(rf"wrong for another of shape {shape}", problem)
    assert "PROBLEM" in report or "Not right" in report


def test_other_attributes_and_another_forward_are_refused(tmp_path):
    init = "self.d_in, self.d_out = positive_integers"
    change = lambda text: text.replace(init, f"self.width = 3; {init}")  # noqa: E731
    path = written(tmp_path, "linear", change=change)
    assert graded_here(path, "linear")[1].startswith("__init__ sets other attributes")
    path = written(tmp_path, "softmax", change=lambda text: text.replace("axis=-1", "axis=-2"))
    expected = "", "the forward computes other numbers than before; restore it"
    assert graded_here(path, "softmax") == expected


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda text: text + "\ndef f(:\n", r"line \d+ is not valid Python: "),
        (lambda text: text + "\n1 / 0\n", r"line \d+, `1 / 0`: ZeroDivisionError"),
        (lambda text: text.replace("class Softmax", "class Soft"), "has no class Softmax"),
    ],
)
def test_a_file_that_cannot_be_run_is_refused(tmp_path, change, message):
    report, problem = graded_here(written(tmp_path, "softmax", change=change), "softmax")
    assert report == "" and re.search(message, problem)


def after(line):
    return lambda text: f"{text}\n{line}\n"


IMPORTED = "from minivit.layers import Softmax"
FORGED = "import minivit.checks.report as report; report.Report.ok = True"


@pytest.mark.parametrize(
    "body, change, message",
    [
        ("raise SystemExit(0)", after(""), "`raise SystemExit(0)`: SystemExit: 0"),
        (WRONG, after("import os; os._exit(0)"), "ended Python before it was graded"),
        (WRONG, after(FORGED), "its gradients are wrong"),
        (WRONG, after(IMPORTED), "calls minivit's own Softmax.backward"),
        (
            f"{IMPORTED} as Solved\nreturn Solved().backward(dy, cache)",
            after(""),
            "`return Solved().backward(dy, cache)`: this calls minivit's own Softmax.backward",
        ),
    ],
)
def test_an_answer_cannot_forge_its_grade(tmp_path, body, change, message):
    _, problem = grade(written(tmp_path, "softmax", body, change), "softmax")
    assert message in problem


def test_a_forged_report_does_not_hide_a_gradient_that_is_assigned(tmp_path):
    body = 'grads["pos"][...] = dy.sum(axis=0)\nreturn dy.copy()'
    _, problem = grade(written(tmp_path, "positions", body, after(FORGED)), "positions")
    assert problem == "its gradients are wrong"


def test_an_answer_that_never_ends_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(grading, "SECONDS", 5)
    _, problem = grade(written(tmp_path, "softmax", "while True:\n    pass"), "softmax")
    assert "was still running after 5 s" in problem


class Unchanged(Softmax):
    """Takes the engine's own backward."""


class WithoutAverage(Softmax):
    def backward(self, dy, cache):
        return dy * cache["y"]


class Right(Softmax):
    def backward(self, dy, cache):
        y = cache["y"]
        return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize(
    "answer, says",
    [
        (Right, "(complex, full).\n\nRight: Right computes the gradients of softmax.\n"),
        (WithoutAverage, "Not right: x.\n\nNot right yet: its gradients are wrong\n"),
        (Unchanged, "this calls minivit's own Softmax.backward; write yours\n"),
    ],
)
def test_a_class_of_a_notebook_is_graded_on_the_spot(answer, says, capsys):
    before = Softmax.backward
    assert grade_class(answer, "softmax") is None
    assert capsys.readouterr().out.endswith(says)
    assert Softmax.backward is before
