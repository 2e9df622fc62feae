"""The walk's formulas hold for the walk's numbers, and its nudges agree with its gradients."""

import re
from pathlib import Path

import numpy as np
import pytest

import minivit
from minivit.checks.numeric import random_params
from minivit.study import trace
from minivit.study.lessons.walk import BACKWARD, FORWARD, as_text, corner, walk

BLOCK, HEAD, HEADS, D, d = 1, 2, 3, 12, 4


@pytest.fixture(scope="module")
def passed():
    rng = np.random.default_rng(0)
    model = minivit.ViT(
        image_size=(4, 6), patch_size=2, channels=1, dim=D, depth=2, heads=HEADS, mlp_dim=5,
        classes=3,
    )  # fmt: skip
    params = random_params(model, rng)
    record = trace(model, params, rng.standard_normal((2, 4, 6, 1)), np.array([2, 0]))
    return params, record, list(walk(record, BLOCK, HEAD))


def named(steps):
    return dict(zip([*FORWARD, *(f"d{name}" for name in BACKWARD)], steps, strict=True))


def test_every_formula_holds_for_the_numbers_that_are_shown(passed):
    params, record, steps = passed
    v = {name: step.value for name, step in named(steps).items()}
    qkv, proj = params["blocks"][BLOCK]["attn"]["qkv"], params["blocks"][BLOCK]["attn"]["proj"]
    columns = [slice(part * D + HEAD * d, part * D + (HEAD + 1) * d) for part in range(3)]
    wq, wk, wv = (qkv["w"][:, c] for c in columns)
    rows = slice(HEAD * d, (HEAD + 1) * d)
    exps = np.exp(v["scores"])
    average = (v["datt"] * v["att"]).sum(axis=1, keepdims=True)
    mixes = record[f"blocks.{BLOCK}.attn.mix"].value[0]  # (h, T, d)
    side_by_side = mixes.transpose(1, 0, 2).reshape(-1, D)
    dq, dk, dv = (record[f"blocks.{BLOCK}.attn.{name}"].gradient[0] for name in "qkv")
    of_all = [g.transpose(1, 0, 2).reshape(-1, D) for g in (dq, dk, dv)]
    expected = {
        "q": v["x"] @ wq + qkv["b"][columns[0]],
        "k": v["x"] @ wk + qkv["b"][columns[1]],
        "v": v["x"] @ wv + qkv["b"][columns[2]],
        "scores": v["q"] @ v["k"].T / d**0.5,
        "att": exps / exps.sum(axis=1, keepdims=True),
        "mix": v["att"] @ v["v"],
        "y": side_by_side @ proj["w"] + proj["b"],
        "dmix": v["dy"] @ proj["w"][rows].T,
        "dv": v["att"].T @ v["dmix"],
        "datt": v["dmix"] @ v["v"].T,
        "dscores": v["att"] * (v["datt"] - average),
        "dq": v["dscores"] @ v["k"] / d**0.5,
        "dk": v["dscores"].T @ v["q"] / d**0.5,
        "dx": sum(g @ qkv["w"][:, i * D : (i + 1) * D].T for i, g in enumerate(of_all)),
    }
    assert expected.keys() == v.keys() - {"x", "dy"}
    for name, value in expected.items():
        np.testing.assert_allclose(v[name], value, rtol=1e-9, atol=1e-12, err_msg=name)


def test_shapes_and_lines_are_those_of_the_source(passed):
    _, record, steps = passed
    sizes = {"T": 6, "d": d, "D": D}
    files = ("attention", "softmax", "linear")
    folder = Path(record[f"blocks.{BLOCK}.attn.q"].file).parent
    source = "".join((folder / f"{name}.py").read_text(encoding="utf-8") for name in files)
    for name, step in named(steps).items():
        assert step.value.shape == tuple(sizes[s] for s in re.findall(r"\w", step.shape)), name
        assert all(line in source for line in step.lines)
        assert bool(step.lines) == (name not in ("x", "dy"))
    assert named(steps)["dscores"].lines[-1] == "dx *= y"
    assert named(steps)["dq"].lines[0] == "dscores *= self.scale"
    assert named(steps)["q"].lines[:2] == [
        'out = rows @ params["w"]  # (R, d_out)', 'out += params["b"]'
    ]  # fmt: skip


def test_a_nudge_of_every_gradient_agrees_with_it(passed):
    _, _, steps = passed
    for name, step in named(steps).items():
        if not name.startswith("d"):
            assert step.nudged == ""
            continue
        moved, index = re.match(r"A check: moving (\w+)\[([\d, ]+)\]", step.nudged).groups()
        slope, gradient = map(float, re.findall(r"(?:of|says) (-?[\d.e-]+\d)", step.nudged))
        assert f"d{moved}" == name
        assert gradient == pytest.approx(step.value[tuple(map(int, index.split(",")))], rel=1e-5)
        assert slope == pytest.approx(gradient, rel=1e-4, abs=1e-9)


def test_the_text_holds_everything(passed):
    _, _, steps = passed
    for step in steps:
        text = as_text(step)
        assert text.startswith(f"## {step.title}: {step.formula}   {step.shape} = ")
        joined = text.replace("\n", " ")
        for part in (step.words, step.nudged, *step.lines, *corner(step.value)):
            assert part in joined


def test_a_corner_is_cut_and_scaled():
    assert corner(np.array([[1.0, -2.5]])) == ["   1.0000  -2.5000"]
    assert corner(np.array([[1.25e-4, 0]])) == ["   1.2500   0.0000", "all times 10^-4"]
    assert corner(np.array([[4e5]])) == ["   4.0000", "all times 10^5"]
    assert corner(np.zeros((1, 2))) == ["   0.0000   0.0000"]
    cut = corner(np.ones((9, 9)))
    assert len(cut) == 5
    assert cut[0].endswith("1.0000  …")
    assert cut[4].strip() == "…"
