"""Right answers pass, and wrong ones are refused for the right reason, whatever they try."""

import re

import pytest

from minivit.layers import Softmax
from minivit.study.lessons import process
from minivit.study.lessons.exercise import EXERCISES
from minivit.study.lessons.grading import grade, grade_class
from tests.study.lessons.answers import graded_here, written

RIGHT = "y * (dy - (dy * y).sum(-1, keepdims=True))"
RIGHT_LINES = f'y = cache["y"]\ndx = {RIGHT}\n'
WRONG = 'return dy * cache["y"]'
SOFTMAX = 'y = cache["y"]\nreturn {}'


@pytest.mark.parametrize("name", EXERCISES)
def test_the_engines_own_lines_are_right(tmp_path, name):
    graded = graded_here(written(tmp_path, name), name)
    assert graded.cause is None and graded.points == 1
    assert "(complex, full)." in graded.report or name == "adam"


def test_a_right_answer_passes_in_a_process_of_its_own(tmp_path, capfd):
    path = written(tmp_path, "softmax", "print('learner')\n" + RIGHT_LINES + "return dx")
    graded = grade(path, "softmax")
    assert graded.cause is None and "(complex, full)." in graded.report
    assert graded.arrays == {"x": True} and graded.seconds > 0
    assert "learner" in capfd.readouterr().out


@pytest.mark.parametrize(
    "name, body, problem",
    [
        ("softmax", 'raise NotImplementedError("no")', 'line {}, `raise NotImplementedError("no'),
        ("softmax", SOFTMAX.format("dy * z"), "line {}, `return dy * z`: NameError: name 'z'"),
        ("softmax", "return None", "backward returns NoneType; it must return dx"),
        ("softmax", SOFTMAX.format("dy * y"), "in every row a multiple of y"),
        ("softmax", SOFTMAX.format(RIGHT + " + np.zeros(1)"), "for float32 numbers dx is float64"),
        ("linear", 'grads["w"] += dy.T @ cache["x"]', "ValueError"),
        ("positions", 'grads["pos"][...] = dy.sum(axis=0)\nreturn dy.copy()', "add to it with +="),
    ],
)
def test_an_answer_that_is_not_right_is_told_why(tmp_path, name, body, problem):
    path = written(tmp_path, name, body)
    graded = graded_here(path, name)
    lines = path.read_text(encoding="utf-8").splitlines()
    (line,) = [number for number, text in enumerate(lines, 1) if body.splitlines()[-1] in text]
    assert problem.format(line) in graded.cause
    assert ("verdict" in graded.report) == (f"line {line}" not in graded.cause)


def test_an_answer_that_is_right_for_one_shape_only(tmp_path):
    body = RIGHT_LINES + "return dx if y.shape == (4, 3, 7) else dx * 2"
    graded = graded_here(written(tmp_path, "softmax", body), "softmax")
    assert graded.points == 0
    assert "it is right at the x that was given, but not" in graded.report


@pytest.mark.parametrize(
    "name, body",
    [
        ("mean_pool", "return (dy / 3)[:, None].repeat(3, axis=1)"),
    ],
)
def test_an_answer_for_one_size_only(tmp_path, name, body):
    graded = graded_here(written(tmp_path, name, body), name)
    assert graded.points == 0 and graded.cause.endswith(
        "has shape (3, 3, 4), but x has shape (3, 6, 4)"
    )


def test_other_attributes_and_another_forward_are_refused(tmp_path):
    init = "self.d_in, self.d_out = positive_integers"
    change = lambda text: text.replace(init, f"self.width = 3; {init}")  # noqa: E731
    path = written(tmp_path, "linear", change=change)
    assert graded_here(path, "linear").cause.startswith("__init__ sets other attributes")
    path = written(tmp_path, "softmax", change=lambda text: text.replace("axis=-1", "axis=-2"))
    graded = graded_here(path, "softmax")
    assert graded.cause == "the forward computes other numbers than before; restore it"
    assert graded.arrays == {"x": False}


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda text: text + "\ndef f(:\n", r"line \d+ is not valid Python: "),
        (lambda text: text + "\n1 / 0\n", r"line \d+, `1 / 0`: ZeroDivisionError"),
        (lambda text: text.replace("class Softmax", "class Soft"), "has no class Softmax"),
    ],
)
def test_a_file_that_cannot_be_run_is_refused(tmp_path, change, message):
    graded = graded_here(written(tmp_path, "softmax", change=change), "softmax")
    assert graded.report == "" and re.search(message, graded.cause)


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
        (WRONG, after(IMPORTED), "this calls minivit's own Softmax.backward"),
        (
            f"{IMPORTED} as Solved\nreturn Solved().backward(dy, cache)",
            after(""),
            "`return Solved().backward(dy, cache)`: this calls minivit's own Softmax.backward",
        ),
    ],
)
def test_an_answer_cannot_forge_its_grade(tmp_path, body, change, message):
    graded = grade(written(tmp_path, "softmax", body, change), "softmax")
    assert message in graded.cause and graded.points == 0


def test_a_forged_report_does_not_hide_a_gradient_that_is_assigned(tmp_path):
    body = 'grads["pos"][...] = dy.sum(axis=0)\nreturn dy.copy()'
    graded = grade(written(tmp_path, "positions", body, after(FORGED)), "positions")
    assert graded.cause and graded.arrays == {"x": True, "pos": False}


@pytest.mark.slow
def test_arrays_count_if_only_the_explanation_takes_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "CPU", 4)
    wait = "\nimport minivit.study.lessons.trials as t\nimport sys\n"
    wait += "def forever(*_):\n    while True:\n        pass\n"
    wait += "sys.modules['__main__'].explained = forever\n"
    assert grade(written(tmp_path, "softmax", change=after(wait)), "softmax").cause is None
    graded = grade(written(tmp_path, "softmax", WRONG, after(wait)), "softmax")
    assert graded.points == 0 and "it was still computing after 4 s" in graded.cause


def test_an_answer_that_never_ends_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "CPU", 3)
    graded = grade(written(tmp_path, "softmax", "while True:\n    pass"), "softmax")
    assert "it was still computing after 3 s" in graded.cause


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
        (
            WithoutAverage,
            "Not right yet: x: a term is missing or wrong: in every row a multiple of y\n",
        ),
        (Unchanged, "this calls minivit's own Softmax.backward; write yours\n"),
    ],
)
def test_a_class_of_a_notebook_is_graded_on_the_spot(answer, says, capsys):
    before = Softmax.backward
    assert grade_class(answer, "softmax") is None
    assert capsys.readouterr().out.endswith(says)
    assert Softmax.backward is before
