import numpy as np
import pytest

from minivit.checks.one_input import one_input
from minivit.layers import (
    MLP,
    Attention,
    LayerNorm,
    Linear,
    PreNormDecoderBlock,
    Softmax,
)
from minivit.study import nudge
from tests.study.cases import Scaled, traced, traced_vit


def gradient_names(record, *names):
    return {
        name: record[name].gradient_record and record[name].gradient_record.variable
        for name in names
    }


def test_each_line_of_attention_has_its_line_in_the_backward():
    record = traced(Attention(15, 3), (2, 7, 15))
    names = ("x", "qkv", "q", "k", "v", "scores", "att", "merged", "mix", "y", "softmax.x")
    assert gradient_names(record, *names) == {
        **{name: f"d{name}" for name in names},
        "softmax.x": "dx",
    }
    before, after = record.versions("scores")
    assert after.gradient_record.source.startswith("dscores = self.softmax.backward(")
    assert before.gradient_record.source == "dscores *= self.scale"
    np.testing.assert_array_equal(before.gradient, after.gradient * 5**-0.5)
    assert record["v"].gradient_record.source == "xp.matmul(att.mT, dmix, out=dv)"


def test_hidden_scores_and_a_memory_find_their_gradients():
    layer = one_input(PreNormDecoderBlock, 3, padded=True)(12, 2, 7)
    record = traced(layer, (2, 8, 12))
    names = ("attn.scores", "cross.scores", "cross.att", "cross.k", "cross.memory")
    assert gradient_names(record, *names) == {
        name: f"d{name[name.index('.') + 1 :]}" for name in names
    }
    scaled, later, padding = record.versions("attn.scores")[1:]
    assert padding.gradient_record is later.gradient_record is scaled.gradient_record
    assert np.isneginf(padding.value).any() and not padding.gradient[np.isinf(padding.value)].any()
    for name in ("attn.scores", "cross.scores", "cross.v", "cross.memory"):
        slope, gradient = nudge(record, name, tuple(np.zeros(record[name].value.ndim, int)))
        assert slope == pytest.approx(gradient, rel=1e-5, abs=1e-8), name


def test_a_layer_is_repeated_with_all_that_it_was_given():
    layer = one_input(PreNormDecoderBlock, 3, padded=True)(12, 2, 7, rotary=True)
    record = traced(layer, (2, 8, 12))
    assert record["attn.q"].gradient_source == "complex step"  # bound once more when it is turned
    turned = next(r for r in record if r.name == "attn.dq" and "matmul" in r.source)
    np.testing.assert_allclose(record["attn.q"].gradient, turned.value, rtol=1e-9, atol=1e-12)


class Chain:
    """y = 2 · (1 + 3 · 3 · x · x)², built in place, with a backward that undoes part of it so."""

    def forward(self, x):
        h = x * x
        h *= 3
        h *= 3
        h += 1
        h *= h
        h *= 2
        return h, {"x": x}

    def backward(self, dy, cache):
        x = cache["x"]
        dh = dy * 2
        dh *= 2 * (1 + 9 * x * x)
        dh *= 3
        dh *= 3
        dx = dh * 2 * x
        return dx


def test_only_lines_that_undo_each_other_are_matched():
    record = traced(Chain(), (2, 3))
    *before, last = record.versions("h")
    assert [r.gradient_record for r in before] == [None] * 5  # `h *= h` stands between
    assert last.gradient_record.variable == "dy"
    for r in record.versions("h"):
        assert nudge(record, r, (1, 2)).slope == pytest.approx(r.gradient[1, 2], rel=1e-6)


def test_each_binding_of_a_name_is_paired_with_its_own_layer():
    record = traced_vit()
    assert [r.gradient_record.path for r in record.versions("x")] == [
        "patches", "cls", "pos", "kept", "dropout", "blocks.0", "blocks.1",
    ]  # fmt: skip
    for r in record.versions("x"):
        assert (r.gradient_record.call.function, r.gradient_record.variable) == ("backward", "dy")


@pytest.mark.parametrize(
    "layer, shape, by_step",
    [
        (Attention(15, 3), (2, 7, 15), set()),
        (MLP(5, 11), (2, 3, 5), set()),
        (LayerNorm(7), (2, 3, 7), {"shifted", "mean", "centered", "var", "rstd"}),
        (Softmax(), (2, 3, 7), {"shifted", "numer", "total"}),
    ],
)
def test_every_forward_array_finds_its_gradient(layer, shape, by_step):
    record = traced(layer, shape)
    own = [r for r in record if (r.path, r.call.function, r.phase) == ("", "forward", "forward")]
    final = {r.variable: r for r in own}
    for r in own:
        assert r.gradient.shape == r.shape
        assert np.isfinite(r.gradient).all()
    assert {v for v, r in final.items() if r.gradient_source == "complex step"} == by_step
    assert {v for v, r in final.items() if r.gradient_source == "hand"} == final.keys() - by_step


def test_hard_habits_of_a_layer_get_no_wrong_gradient():
    record = traced(Scaled(), (2, 5, 3))
    assert gradient_names(record, "x", "skip", "hidden", "parts.0.x", "parts.0.w") == {
        "x": "dx", "skip": "dskip", "hidden": "dhidden", "parts.0.x": "dx", "parts.0.w": "dw",
    }  # fmt: skip
    rng = np.random.default_rng(0)
    for r in record:
        if r.gradient_source and r.variable != "return":
            index = tuple(rng.integers(size) for size in r.shape)
            assert nudge(record, r, index).slope == pytest.approx(r.gradient[index], rel=1e-6), r


class SameMemory:
    """dh becomes the gradient of what h was made of, in the same memory."""

    def forward(self, x):
        h = np.tanh(x)
        y = h * h
        return y, {"h": h}

    def backward(self, dy, cache):
        h = cache["h"]
        dh = dy * 2 * h
        dh *= 1 - h * h
        return dh


class SumOfItself:
    """What is added was made of what it is added to."""

    def forward(self, x):
        h = x * 3
        a = np.tanh(h)
        h += a
        y = h * h
        return y, {"h": h, "a": a}

    def backward(self, dy, cache):
        h, a = cache["h"], cache["a"]
        dh = dy * 2 * h
        dh += dh * (1 - a * a)
        dx = dh * 3
        return dx


class Wider:
    """dgain has not been summed yet under the name of gain's gradient."""

    def forward(self, x):
        gain = x.sum(axis=0) * 2  # of x's last axis
        y = x * gain
        return y, {"x": x, "gain": gain}

    def backward(self, dy, cache):
        dgain = dy * cache["x"]
        dx = dy * cache["gain"] + 2 * dgain.sum(axis=0)
        return dx


@pytest.mark.parametrize(
    "habit, names",
    [(SameMemory, ["h"]), (SumOfItself, ["h", "a"]), (Wider, ["gain"])],
)
def test_habits_of_a_backward_get_no_wrong_gradient(habit, names):
    record = traced(habit(), (2, 3))
    for r in [version for name in names for version in record.versions(name)]:
        assert r.gradient.shape == r.shape
        index = tuple(size - 1 for size in r.shape)
        assert nudge(record, r, index).slope == pytest.approx(r.gradient[index], rel=1e-5)


class LeftAndRight:
    """One layer for both halves; the backward goes through them in the order of the forward."""

    def __init__(self):
        self.linear = Linear(3, 3)

    def init(self, rng, dtype=np.float32):
        return {"linear": self.linear.init(rng, dtype)}

    def forward(self, params, x):
        left, of_left = self.linear.forward(params["linear"], x[:, :3])
        right, of_right = self.linear.forward(params["linear"], x[:, 3:])
        y = left * left * right
        return y, {"left": left, "right": right, "of_left": of_left, "of_right": of_right}

    def backward(self, params, dy, cache, grads):
        left, right = cache["left"], cache["right"]
        of = params["linear"], grads["linear"]
        back = self.linear.backward
        dx_left = back(of[0], dy * 2 * left * right, cache["of_left"], of[1])
        dx_right = back(of[0], dy * left * left, cache["of_right"], of[1])
        dx = np.concatenate([dx_left, dx_right], axis=1)
        return dx


def test_a_shared_layer_is_paired_by_its_cache():
    record = traced(LeftAndRight(), (2, 6))
    for name in ("left", "right", "linear.x", "linear.rows", "linear.y"):
        for r in record.versions(name):
            assert r.gradient_source == "hand"
            assert nudge(record, r, (1, 2)).slope == pytest.approx(r.gradient[1, 2], rel=1e-5)


class OddKeys:
    """Layers in lists of lists, and gradients added to in ways that a name cannot tell."""

    def __init__(self):
        self.grid = [[Linear(3, 3)], (Linear(3, 3),)]
        self.grid[0][0].parent = self

    def init(self, rng, dtype=np.float32):
        layers = [row[0].init(rng, dtype) for row in self.grid]
        return {"layers": layers, "gains": [np.ones(3, dtype), np.ones(3, dtype)]}

    def forward(self, params, x):
        hidden, first = self.grid[0][0].forward(params["layers"][0], x)
        out, second = self.grid[1][0].forward(params["layers"][1], hidden)
        y = out * params["gains"][-1]
        return y, {"first": first, "second": second, "out": out}

    def backward(self, params, dy, cache, grads):
        for name in ("gains",):
            dgain = (dy * cache["out"]).sum(axis=0)
            np.add(grads[name][-1], dgain, out=grads[name][-1])
            grads[name][-1] += 0 * dgain
        dout = dy * params["gains"][-1]
        nests = list(zip(params["layers"], grads["layers"], strict=True))
        dhidden = self.grid[1][0].backward(nests[1][0], dout, cache["second"], nests[1][1])
        dx = self.grid[0][0].backward(nests[0][0], dhidden, cache["first"], nests[0][1])
        return dx


def test_gradients_of_parameters_are_right_whatever_line_adds_to_them():
    record = traced(OddKeys(), (2, 3))
    assert "grid.0.0.rows" in record
    assert not record["gains.0"].gradient.any()
    for name in ("gains.1", "layers.0.w", "layers.1.b"):
        index = (2,) * record[name].value.ndim
        assert abs(record[name].gradient[index]) > 1e-3
        slope = nudge(record, name, index).slope
        assert slope == pytest.approx(record[name].gradient[index], rel=1e-5)
