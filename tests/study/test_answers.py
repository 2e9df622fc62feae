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
