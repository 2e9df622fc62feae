"""An exercise shows everything but the solution."""

import ast
import inspect

import pytest

import minivit
from minivit.layers import Linear, Softmax
from minivit.study.lessons.answer import load_answer
from minivit.study.lessons.exercise import (
    COURSE,
    EXERCISES,
    NONE,
    PLAIN,
    asked,
    exercise,
    put_into,
    solved,
)
from tests.study.lessons.answers import written


@pytest.mark.parametrize("name", EXERCISES)
def test_the_exercise_is_python_without_the_solution(name):
    text = exercise(name, "the command that grades")
    ast.parse(text)
    assert "\n    the command that grades\n" in text and "\nimport numpy as np\n" in text
    layer = solved(name)
    (kind,) = [node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    assert kind == layer.__name__
    lines = inspect.getsource(getattr(layer, asked(name))).splitlines()[1:]
    lines = [line.strip() for line in lines if "self.betas" not in line]
    forward = inspect.getsource(getattr(layer, "forward", layer.__init__))
    solution = [line for line in lines if (" = " in line or "+=" in line) and line not in forward]
    assert solution and not any(line in text for line in solution)
    paragraphs = inspect.getdoc(layer).split("\n\n")
    assert all(part not in text for part in paragraphs if "dx = " in part)


def test_shapes_and_tasks_are_stated():
    text = exercise("layernorm", "")
    assert "#   cache      normed (4, 3, 7), rstd (4, 3, 1)" in text
    assert '#   add to     grads["w"] (7,), grads["b"] (7,)' in text
    assert "Add the\ngradient of each parameter to its array in `grads`" in text
    assert 'raise NotImplementedError("write the backward of LayerNorm here")' in text
    assert "from minivit.layers.sums import sum_rows" in exercise("linear", "")
    assert "grads" not in exercise("softmax", "")


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


def test_the_course_and_every_case_have_an_exercise():
    assert set(COURSE) <= set(EXERCISES) and len(EXERCISES) == len(set(EXERCISES)) == 27
    assert "vit" in NONE and "vit" not in EXERCISES


@pytest.mark.parametrize("name", PLAIN)
def test_the_plain_layers_are_free_of_what_makes_the_engine_fast(name):
    text = exercise(name, "")
    assert not [trick for trick in ("out=", "keys_first", "xp.", "empty(") if trick in text]
