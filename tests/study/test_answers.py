import numpy as np
import pytest

from minivit.layers import MLP, Attention, LayerNorm, Linear, PreNormBlock, Softmax
from minivit.study import nudge
from tests.study.cases import Scaled, traced, traced_vit


def answers(record, *names):
    return {name: record[name].answer and record[name].answer.variable for name in names}


def test_attention_is_answered_line_by_line():
    record = traced(Attention(15, 3), (2, 7, 15))
    names = ("x", "qkv", "q", "k", "v", "scores", "att", "merged", "mix", "y", "softmax.x")
    assert answers(record, *names) == {
        **{name: f"d{name}" for name in names},
        "softmax.x": "dx",
    }
    before, after = record.versions("scores")
    assert after.answer.source.startswith("dscores = self.softmax.backward(")
    assert before.answer.source == "dscores *= self.scale"
    np.testing.assert_array_equal(before.gradient, after.gradient * 5**-0.5)
    assert record["dv"].source == record["v"].answer.source == "xp.matmul(att.mT, dmix, out=dv)"
    np.testing.assert_array_equal(
        record["v"].gradient, np.matmul(record["att"].value.mT, record["mix"].gradient)
    )


class Chain:
    """y = 2 · (1 + 3 · 3 · x · x)², built in place, with a backward that undoes part of it so."""

    def init(self, rng, dtype=np.float32):
        return {}

    def forward(self, params, x):
        h = x * x
        h *= 3
        h *= 3
        h += 1
        h *= h
        h *= 2
        return h, {"x": x}

    def backward(self, params, dy, cache, grads):
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
    assert [r.answer for r in before] == [None] * 5  # `h *= h` stands between
    assert last.answer.variable == "dy"
    for r in record.versions("h"):
        assert nudge(record, r, (1, 2)).slope == pytest.approx(r.gradient[1, 2], rel=1e-6)


def test_what_a_sum_was_added_to_has_the_gradient_of_the_sum():
    record = traced(Linear(3, 5), (2, 3))
    assert [r.answer.variable for r in record.versions("out")] == ["dout", "dout"]


def test_a_name_that_is_bound_again_and_again_is_answered_by_each_layer():
    record = traced_vit()
    assert [r.answer.path for r in record.versions("x")] == [
        "patches", "cls", "pos", "dropout", "blocks.0", "blocks.1",
    ]  # fmt: skip
    for r in record.versions("x"):
        assert (r.answer.function, r.answer.variable) == ("backward", "dy")


def test_the_way_past_a_branch_and_the_branch_have_each_their_own():
    record = traced(PreNormBlock(6, 2, 11), (3, 5, 6))
    stream, branch = record["x"], record["ln1.x"]
    np.testing.assert_array_equal(stream.value, branch.value)
    np.testing.assert_allclose(stream.gradient, record["mid"].gradient + branch.gradient)


@pytest.mark.parametrize(
    "layer, shape, by_step",
    [
        (Attention(15, 3), (2, 7, 15), set()),
        (MLP(5, 11), (2, 3, 5), set()),
        (LayerNorm(7), (2, 3, 7), {"mean", "centered", "var", "rstd", "normed"}),
        (Softmax(), (2, 3, 7), {"shifted", "numer", "total"}),
    ],
)
def test_every_forward_array_finds_its_gradient(layer, shape, by_step):
    record = traced(layer, shape)
    own = [r for r in record if (r.path, r.function, r.phase) == ("", "forward", "forward")]
    final = {r.variable: r for r in own}
    for r in own:
        assert r.gradient.shape == r.shape
        assert np.isfinite(r.gradient).all()
    assert {v for v, r in final.items() if r.gradient_source == "complex step"} == by_step
    assert {v for v, r in final.items() if r.gradient_source == "hand"} == final.keys() - by_step


def test_hard_habits_of_a_layer_get_no_wrong_answer():
    record = traced(Scaled(), (2, 5, 3))
    assert answers(record, "x", "skip", "hidden", "parts.0.x", "parts.0.w") == {
        "x": "dx", "skip": "dskip", "hidden": "dhidden", "parts.0.x": "dx", "parts.0.w": "dw",
    }  # fmt: skip
    rng = np.random.default_rng(0)
    for r in record:
        if r.gradient_source and r.variable not in ("return",):
            index = tuple(rng.integers(size) for size in r.shape)
            assert nudge(record, r, index).slope == pytest.approx(r.gradient[index], rel=1e-6), r


class Transposed(Softmax):
    """Over the columns; it shares its names with the Softmax in it."""

    def forward(self, params, x):
        y, cache = super().forward(params, x.mT.copy())
        return y.mT, cache

    def backward(self, params, dy, cache, grads):
        return super().backward(params, dy.mT, cache, grads).mT


def test_a_method_that_calls_its_parents_is_told_apart_from_it():
    record = traced(Transposed(), (4, 3, 7))
    outer, inner = record.versions("x")
    np.testing.assert_array_equal(outer.gradient, inner.gradient.mT)
    assert outer.gradient_source == inner.gradient_source == "hand"
    np.testing.assert_array_equal(inner.answer.value, record.versions("dx")[-1].value)


class Twice:
    """One layer, used two times: its gradients add up."""

    def __init__(self):
        self.linear = Linear(3, 3)

    def init(self, rng, dtype=np.float32):
        return {"linear": self.linear.init(rng, dtype)}

    def forward(self, params, x):
        once, first = self.linear.forward(params["linear"], x)
        y, second = self.linear.forward(params["linear"], once)
        return y, {"first": first, "second": second}

    def backward(self, params, dy, cache, grads):
        donce = self.linear.backward(params["linear"], dy, cache["second"], grads["linear"])
        dx = self.linear.backward(params["linear"], donce, cache["first"], grads["linear"])
        return dx


def test_a_layer_that_is_used_twice_is_answered_in_reverse():
    record = traced(Twice(), (2, 3))
    first, second = record.versions("linear.x")
    np.testing.assert_array_equal(first.gradient, record["x"].gradient)
    np.testing.assert_array_equal(second.gradient, record["once"].gradient)
    for r in (first, second, record["linear.w"]):
        assert nudge(record, r, (1, 2)).slope == pytest.approx(r.gradient[1, 2], rel=1e-6)


class Habit:
    """A layer without parameters; what it does stands in a subclass's two functions."""

    def init(self, rng, dtype=np.float32):
        return {}


class SameMemory(Habit):
    """dh becomes the gradient of what h was made of, in the same memory."""

    def forward(self, params, x):
        h = np.tanh(x)
        y = h * h
        return y, {"h": h}

    def backward(self, params, dy, cache, grads):
        h = cache["h"]
        dh = dy * 2 * h
        dh *= 1 - h * h
        return dh


class SameName(SameMemory):
    """The same, under the same name."""

    def backward(self, params, dy, cache, grads):
        h = cache["h"]
        dh = dy * 2 * h
        dh = dh * (1 - h * h)
        return dh


class SumOfItself(Habit):
    """What is added was made of what it is added to."""

    def forward(self, params, x):
        h = x * 3
        a = np.tanh(h)
        h += a
        y = h * h
        return y, {"h": h, "a": a}

    def backward(self, params, dy, cache, grads):
        h, a = cache["h"], cache["a"]
        dh = dy * 2 * h
        dh += dh * (1 - a * a)
        dx = dh * 3
        return dx


class Wider(Habit):
    """dgain has not been summed yet under the name of gain's gradient."""

    def forward(self, params, x):
        gain = x.sum(axis=0) * 2  # of x's last axis
        y = x * gain
        return y, {"x": x, "gain": gain}

    def backward(self, params, dy, cache, grads):
        dgain = dy * cache["x"]
        dx = dy * cache["gain"] + 2 * dgain.sum(axis=0)
        return dx


@pytest.mark.parametrize("habit", [SameMemory, SameName, SumOfItself, Wider])
def test_habits_of_a_backward_get_no_wrong_answer(habit):
    record = traced(habit(), (2, 3))
    names = [name for name in ("h", "a", "gain") if name in record]
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
    """Layers in lists of lists, and gradients that are added to by ways of their own."""

    def __init__(self):
        self.grid = [[Linear(3, 3)], (Linear(3, 3),)]
        self.grid[0][0].parent = self

    def init(self, rng, dtype=np.float32):
        layers = [self.grid[0][0].init(rng, dtype), self.grid[1][0].init(rng, dtype)]
        return {"layers": layers, "gains": [np.ones(3, dtype), np.ones(3, dtype)]}

    def forward(self, params, x):
        cache = []
        for row, nest in zip(self.grid, params["layers"], strict=True):
            x, kept = row[0].forward(nest, x)
            cache.append(kept)
        y = x * params["gains"][-1]
        return y, {"layers": cache, "x": x}

    def backward(self, params, dy, cache, grads):
        new = {"gains": (dy * cache["x"]).sum(axis=0)}
        for name in ("gains",):
            np.add(grads[name][-1], new[name], out=grads[name][-1])
        for name in new:
            grads[name][-1] += 0 * new[name]
        dx = dy * params["gains"][-1]
        for place in (1, 0):
            row, nests = self.grid[place], (params["layers"][place], grads["layers"][place])
            dx = row[0].backward(nests[0], dx, cache["layers"][place], nests[1])
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
