"""Every exercise can be solved with the engine's own lines, and is graded for the right reason."""

import ast
import inspect
import re
import textwrap

import numpy as np
import pytest

import minivit
from minivit.checks.suite import CASES
from minivit.layers import Linear, Softmax
from minivit.study.exercise import EXERCISES, NotRight, exercise, grade, load_answer, put_into


def written(tmp_path, name, body=None, also=lambda text: text):
    """A file of the exercise whose backward has the body, else the engine's own; its path."""
    text = exercise(name, "grade me")
    if body is None:
        source = textwrap.dedent(inspect.getsource(CASES[name].make.func.backward))
        body = "\n".join(source.splitlines()[1:])
        body = textwrap.dedent(body)
    start = text.index("        # In the check that grades you:")
    end = text.index('here")', start) + len('here")')
    text = text[:start] + textwrap.indent(body, " " * 8) + text[end:]
    path = tmp_path / f"{name}.py"
    path.write_text(also(text), encoding="utf-8")
    return path


def graded(path, name):
    return grade(load_answer(path, name), path, name)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_engines_own_backward_is_right(tmp_path, name):
    path = written(tmp_path, name)
    report, problem = graded(path, name)
    assert report.ok
    assert problem is None


@pytest.mark.parametrize("name", EXERCISES)
def test_the_exercise_is_python_without_the_solution(tmp_path, name):
    text = exercise(name, "python -m demos.write_backward x")
    ast.parse(text)
    assert "python -m demos.write_backward x" in text
    layer = CASES[name].make.func
    assert text.count("\nclass ") == text.count(f"\nclass {layer.__name__}:") == 1
    lines = inspect.getsource(layer.backward).splitlines()[1:]
    own = [line.strip() for line in lines if " = " in line or "+=" in line]
    forward = inspect.getsource(layer.forward)
    assert own
    for line in own:
        if line not in forward:
            assert line not in text
    docstring = inspect.getdoc(layer)
    assert all(part not in text for part in docstring.split("\n\n") if "dx = " in part)


def test_what_there_is_and_what_is_asked_is_said():
    text = exercise("layernorm", "")
    assert "#   cache      normed (2, 3, 7), rstd (2, 3, 1)" in text
    assert '#   add to     grads["w"] (7,), grads["b"] (7,)' in text
    assert 'raise NotImplementedError("write the backward of LayerNorm here")' in text
    assert "from minivit.layers.sums import mean_features, sum_features, sum_rows" in text


RIGHT = "y * (dy - (dy * y).sum(-1, keepdims=True))"
RIGHT_LINES = f'y = cache["y"]\ndx = {RIGHT}\n'
SOFTMAX = 'y = cache["y"]\nreturn {}'


@pytest.mark.parametrize(
    "name, body, problem",
    [
        ("softmax", 'raise NotImplementedError("no")', 'line {}, `raise NotImplementedError("no'),
        ("softmax", SOFTMAX.format("dy * z"), "line {}, `return dy * z`: NameError: name 'z'"),
        ("softmax", SOFTMAX.format("dy * y"), "see above"),
        ("softmax", SOFTMAX.format(RIGHT + " + array_module(y).zeros(1)"), "dx is float64"),
        ("linear", 'grads["w"] += dy.T @ cache["x"]', "ValueError"),
        ("positions", 'grads["pos"] += dy.sum(axis=0)', "see above"),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_right_is_told_why(tmp_path, name, body, problem):
    path = written(tmp_path, name, body)
    report, found = graded(path, name)
    lines = path.read_text(encoding="utf-8").splitlines()
    (line,) = [number for number, text in enumerate(lines, 1) if body.splitlines()[-1] in text]
    assert problem.format(line) in found
    if problem == "see above":
        assert report.explanation() or report.problems


def test_an_answer_that_is_right_at_one_input_only(tmp_path):
    right = 'y = cache["y"]\ndx = y * (dy - (dy * y).sum(-1, keepdims=True))\n'
    body = right + "return dx if x_is_known(y) else dx * 2"
    path = written(tmp_path, "softmax", body)
    answer = load_answer(path, "softmax")
    make, shape, _ = CASES["softmax"]
    x = np.random.default_rng(0).standard_normal(shape)
    known = make().forward({}, x)[0], make().forward({}, x[::-1])[0]
    answer.backward.__globals__["x_is_known"] = lambda y: any(np.allclose(y, k) for k in known)
    report, problem = grade(answer, path, "softmax")
    assert problem == "right for x of shape (2, 3, 7), wrong for another of (2, 3, 7)"
    assert not report.ok


@pytest.mark.parametrize(
    "name, body, shape",
    [
        ("mean_pool", "return (dy / 3)[:, None].repeat(3, axis=1)", r"\(2, 6, 5\)"),
        ("softmax", RIGHT_LINES + "return dx * len(y) / 2", r"\(4, 3, 7\)"),
    ],
)
def test_an_answer_for_one_size_only(tmp_path, name, body, shape):
    report, problem = graded(written(tmp_path, name, body), name)
    assert re.search(rf"wrong for another of {shape}|the gradient of x is", problem + str(report))
    assert not report.ok


def test_numpy_is_there_and_self_keeps_what_it_kept(tmp_path):
    assert all("\nimport numpy as np\n" in exercise(name, "") for name in EXERCISES)
    init = "self.d_in, self.d_out = positive_integers"
    path = written(tmp_path, "linear", also=lambda t: t.replace(init, f"self.width = 3; {init}"))
    assert "__init__ keeps other things on self" in graded(path, "linear")[1]


def test_a_changed_forward_is_refused(tmp_path):
    path = written(tmp_path, "softmax", also=lambda text: text.replace("axis=-1", "axis=-2"))
    assert graded(path, "softmax") == (
        None, "the forward gives other numbers than before: put it back as it was"
    )  # fmt: skip


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda text: text + "\ndef f(:\n", r"line \d+ is no Python: "),
        (lambda text: text + "\n1 / 0\n", r"line \d+, `1 / 0`: ZeroDivisionError"),
        (lambda text: text.replace("class Softmax", "class Soft"), "has no class Softmax"),
    ],
)
def test_a_file_that_cannot_be_run_is_refused(tmp_path, change, message):
    path = written(tmp_path, "softmax", also=change)
    with pytest.raises(NotRight, match=message):
        load_answer(path, "softmax")


def test_the_answer_takes_the_place_of_every_layer_of_its_kind(tmp_path):
    model = minivit.ViT(
        image_size=4, patch_size=2, channels=1, dim=6, depth=3, heads=2, mlp_dim=5, classes=3
    )
    answer = load_answer(written(tmp_path, "softmax"), "softmax")
    assert put_into(model, answer) == 3
    assert all(type(block.attn.softmax) is answer for block in model.blocks)
    assert put_into(model, load_answer(written(tmp_path, "linear"), "linear")) == 3 * 4 + 2
    assert not isinstance(model.head, Linear)
    assert type(minivit.ViT(**model.config).blocks[0].attn.softmax) is Softmax
