"""The walk's formulas hold for the walk's numbers, and its nudges agree with its gradients."""

import re
from pathlib import Path

import numpy as np
import pytest

import minivit
from minivit.checks.numeric import random_params
from minivit.layers import Attention, CrossAttention, MaskedAttention
from minivit.study import trace
from minivit.study.lessons.walk import as_text, corner, walk, walk_through
from minivit.study.lessons.walk_words import COURSES
from minivit.study.letter import OneLetter
from tests.study.test_letter import NEXT, PLACE, TOKENS, reader

BLOCK, HEAD, HEADS, D, d = 1, 2, 3, 12, 4
COLUMNS = [slice(part * D + HEAD * d, part * D + (HEAD + 1) * d) for part in range(3)]
ROWS = slice(HEAD * d, (HEAD + 1) * d)
T, S = 5, 12
LATER = np.triu(np.ones((T, T), bool), 1)


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


@pytest.fixture(scope="module", params=[0, 1])
def read(request):
    """(params, path, trace) of a decoder's block, for one letter; and the steps of both heads."""
    model, params, images = reader()
    record = trace(OneLetter(model, TOKENS, PLACE), params, images, np.array([NEXT]))
    path = f"reader.decoder.blocks.{request.param}"
    steps = {
        layer: named(walk_through(record, f"{path}.{layer}", HEAD), kind)
        for layer, kind in {"attn": MaskedAttention, "cross": CrossAttention}.items()
    }
    return params["decoder"]["blocks"][request.param], path, record, steps


def named(steps, kind=Attention):
    course = COURSES[kind]
    names = [*course.forward, *(f"d{name}" for name in course.backward)]
    return dict(zip(names, steps, strict=True))


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


def test_of_a_vit_nothing_is_hidden_and_no_zero_is_written_otherwise(passed):
    _, _, steps = passed
    for step in steps:
        assert (step.about, step.shown) == ("", corner(step.value))


def of_all_heads(record, path, names):
    """The gradients of all heads, each (its tokens, D)."""
    gradients = (record[f"{path}.{name}"].gradient[0] for name in names)
    return [gradient.transpose(1, 0, 2).reshape(-1, D) for gradient in gradients]


def of_the_head(v, proj):
    """What holds for the numbers v of any attention, masked or not."""
    average = (v["datt"] * v["att"]).sum(axis=1, keepdims=True)
    return {
        "scores": v["q"] @ v["k"].T / d**0.5,
        "mix": v["att"] @ v["v"],
        "dmix": v["dy"] @ proj["w"][ROWS].T,
        "dv": v["att"].T @ v["dmix"],
        "datt": v["dmix"] @ v["v"].T,
        "dscores": v["att"] * (v["datt"] - average),
        "dq": v["dscores"] @ v["k"] / d**0.5,
        "dk": v["dscores"].T @ v["q"] / d**0.5,
    }


def expect_numbers(v, expected):
    for name, value in expected.items():
        np.testing.assert_allclose(v[name], value, rtol=1e-9, atol=1e-12, err_msg=name)


def test_of_a_masked_head_every_formula_holds(read):
    params, path, record, steps = read
    v = {name: step.value for name, step in steps["attn"].items()}
    qkv, proj = params["attn"]["qkv"], params["attn"]["proj"]
    exps = np.where(LATER, 0, np.exp(v["scores"]))
    gradients = of_all_heads(record, f"{path}.attn", "qkv")
    expected = of_the_head(v, proj) | {
        "seen": np.where(LATER, -np.inf, v["scores"]),
        "att": exps / exps.sum(axis=1, keepdims=True),
        "dseen": v["dscores"],
        "dx": sum(g @ qkv["w"][:, i * D : (i + 1) * D].T for i, g in enumerate(gradients)),
    }
    for name, columns in zip("qkv", COLUMNS, strict=True):
        expected[name] = v["x"] @ qkv["w"][:, columns] + qkv["b"][columns]
    assert expected.keys() == v.keys() - {"x", "y", "dy"}
    expect_numbers(v, expected)


def test_of_a_cross_attending_head_the_gradient_goes_two_ways(read):
    params, path, record, steps = read
    v = {name: step.value for name, step in steps["cross"].items()}
    q, kv, proj = (params["cross"][name] for name in ("q", "kv", "proj"))
    exps = np.exp(v["scores"])
    dq, dk, dv = of_all_heads(record, f"{path}.cross", "qkv")
    expected = of_the_head(v, proj) | {
        "memory": record[f"{path}.cross.memory"].value[0],
        "q": v["x"] @ q["w"][:, ROWS] + q["b"][ROWS],
        "k": v["memory"] @ kv["w"][:, COLUMNS[0]] + kv["b"][COLUMNS[0]],
        "v": v["memory"] @ kv["w"][:, COLUMNS[1]] + kv["b"][COLUMNS[1]],
        "att": exps / exps.sum(axis=1, keepdims=True),
        "dx": dq @ q["w"].T,
        "dmemory": dk @ kv["w"][:, :D].T + dv @ kv["w"][:, D:].T,
    }
    assert expected.keys() == v.keys() - {"x", "y", "dy"}
    expect_numbers(v, expected)


def test_hidden_places_are_exactly_zero_and_later_tokens_too(read):
    masked, cross = read[3]["attn"], read[3]["cross"]
    for name in ("att", "dseen", "dscores"):
        assert not masked[name].value[LATER].any()
        assert masked[name].about == "Exactly 0 at 10 of 10 hidden places."
        assert all(row.endswith(" 0") for row in masked[name].shown[: T - 1])
    assert masked["datt"].value[PLACE][LATER[PLACE]].all()  # it is not datt that is zero there
    assert [row.count("-inf") for row in masked["seen"].shown] == [4, 3, 2, 1, 0]
    assert "inf" not in "".join(masked["scores"].shown)
    for name in ("dy", "dmix", "dq", "dx", "dscores"):
        assert not masked[name].value[PLACE + 1 :].any()
        assert not cross[name].value[PLACE + 1 :].any()
        assert cross[name].value[PLACE].any()


@pytest.mark.parametrize("layer", ["attn", "cross"])
def test_a_nudge_of_what_matters_agrees_and_of_what_is_hidden_is_zero(layer, read):
    for name, step in read[3][layer].items():
        if not name.startswith("d"):
            assert step.nudged == ""
            continue
        moved, index = re.match(r"A check: moving (\w+)\[([\d, ]+)\]", step.nudged).groups()
        place = tuple(map(int, index.split(",")))
        slope, gradient = map(float, re.findall(r"(?:of|says) (-?[\d.e-]*\d)", step.nudged))
        assert f"d{moved}" == name
        assert gradient == pytest.approx(step.value[place], rel=1e-5)
        assert slope == pytest.approx(gradient, rel=1e-4, abs=1e-9)
        hidden = (layer, name) == ("attn", "dscores")
        assert (gradient == 0) == hidden and (not hidden or LATER[place])
        assert not hidden or "a slope of 0; the backward says 0." in step.nudged


@pytest.mark.parametrize("layer", ["attn", "cross"])
def test_shapes_and_lines_of_a_reader_are_those_of_the_source(layer, read):
    steps, sizes = read[3][layer], {"T": T, "S": S, "d": d, "D": D}
    for name, step in steps.items():
        assert step.value.shape == tuple(sizes[s] for s in re.findall(r"\w", step.shape)), name
        without = {"attn": {"x", "dy", "dscores"}, "cross": {"x", "memory", "dy"}}
        assert bool(step.lines) == (name not in without[layer]), name
    assert steps["dq"].lines[0] == "dscores *= self.scale"
    assert steps["scores"].lines[-1] == "scores *= self.scale"
    if layer == "attn":
        assert "copyto(scores, -math.inf, where=later)" in steps["seen"].lines[-1]


@pytest.mark.parametrize("read, head, first", [(0, 1, 0), (1, 0, 3)], indirect=["read"])
def test_the_patches_at_which_the_letter_looked_are_shown(read, head, first):
    _, path, record, _ = read
    steps = named(walk_through(record, f"{path}.cross", head), CrossAttention)
    weights = np.abs(steps["dy"].value).sum(axis=1) @ steps["att"].value
    for name in ("memory", "k", "v", "scores", "att", "dmemory"):
        text = as_text(steps[name])
        said = f"Shown are patches {first} to {first + 8}, where the letter looked."
        assert (said in text) == (first > 0)
        assert first <= weights.argmax() <= first + 8 < S
        axis = 0 if name in ("memory", "k", "v", "dmemory") else 1
        part = steps[name].value.take(range(first, first + 9), axis)[:9, :9]
        numbers = re.findall(r"-?\d+\.\d{4}| 0(?= |$)", "\n".join(steps[name].shown))
        power = re.search(r"all times 10\^(-?\d+)", text)
        scale = 10.0 ** int(power[1]) if power else 1
        np.testing.assert_allclose(
            np.array(numbers, float) * scale, part.ravel(), atol=6e-5 * scale
        )


def test_rotary_positions_are_refused():
    model, params, images = reader(decoder_positions="rotary")
    record = trace(OneLetter(model, TOKENS, PLACE), params, images, np.array([NEXT]))
    with pytest.raises(ValueError, match="the walk knows no rotary positions; expected"):
        next(walk_through(record, "reader.decoder.blocks.0.attn", HEAD))


def test_a_corner_may_begin_anywhere_and_tells_zero_from_small():
    matrix = np.arange(20.0).reshape(4, 5) / 10
    assert corner(matrix, 2, 2, (1, 2)) == [
        "        …", "…   0.7000   0.8000  …", "…   1.2000   1.3000  …", "        …",
    ]  # fmt: skip
    small = np.array([[1.0, 1e-9, 0, -0.0]])
    assert corner(small, exact=True) == ["   1.0000   0.0000        0        0"]
    assert corner(np.array([[-np.inf, 2.0]])) == ["     -inf   2.0000"]
