import numpy as np
import pytest

import minivit
from minivit.checks.numeric import random_params
from minivit.layers import GELU, Attention, Linear
from minivit.study import nudge, trace
from tests.numeric import analytic, passes
from tests.study.cases import Scaled, traced, traced_vit


def test_a_trace_is_the_pass_and_leaves_everything_as_it_was():
    record = traced_vit()
    loss, logits, gradients = passes(record.layer, record.params, record.x, record.labels)
    assert record.loss == loss
    np.testing.assert_array_equal(record["logits"].value, logits)
    np.testing.assert_array_equal(record["images"].value, record.x)
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(record[name].gradient, gradient)
        assert record[name].gradient_source == "hand"
    for name, leaf in record.params.named():
        assert record[name].phase == "parameter"
        np.testing.assert_array_equal(record[name].value, leaf)
        assert "grads[" in record[name].gradient_record.source


@pytest.mark.parametrize(
    "name, layer, shape",
    [("attention", Attention(15, 3), (2, 7, 15)), ("mine", Scaled(), (2, 5, 3))],
)
def test_traces_any_layer(name, layer, shape):
    record = traced(layer, shape)
    y, gradients = analytic(layer, record.params, record.x, record.dy)
    assert record.loss == (y * record.dy).sum()
    np.testing.assert_array_equal(record["y"].value, y)
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(record[name].gradient, gradient)


def test_keeps_its_own_copies():
    layer, rng = Linear(3, 5), np.random.default_rng(0)
    params, x, dy = random_params(layer, rng), rng.standard_normal((2, 3)), np.ones((2, 5))
    record = trace(layer, params, x, dy=dy)
    w, gradient = params["w"].copy(), record["w"].gradient.copy()
    for array in (params.flat, x, dy):
        array[...] = 0
    np.testing.assert_array_equal(record.params["w"], w)
    np.testing.assert_array_equal(record["w"].value, w)
    np.testing.assert_array_equal(record["w"].gradient, gradient)
    assert record.x.any() and record.dy.any()


def test_takes_a_bare_nest_and_a_layer_without_parameters():
    layer = Linear(3, 5)
    nest = layer.init(np.random.default_rng(0))
    record = trace(layer, nest, np.ones((2, 3), np.float32), dy=np.ones((2, 5), np.float32))
    np.testing.assert_array_equal(record["w"].gradient, np.full((3, 5), 2))
    assert trace(GELU(), {}, np.ones(3), dy=np.ones(3))["gate"].shape == (3,)


def test_the_forward_comes_before_the_backward_where_both_use_a_name():
    record = traced_vit()
    assert record["blocks.0.attn.q"].phase == "forward"
    assert record["blocks.0.ln1.w"].phase == "parameter"
    assert record["blocks.0.attn.dq"].phase == "backward"
    assert record["blocks.0.attn.dq"].gradient is None
    assert record["loss.labels"].gradient is None


def test_gradients_by_the_complex_step_are_the_slopes_of_the_loss():
    record, rng = traced_vit(), np.random.default_rng(0)
    ln = [f"ln.{name}" for name in ("shifted", "mean", "centered", "var", "rstd")]
    softmax = [f"blocks.0.attn.softmax.{name}" for name in ("shifted", "numer", "total")]
    for name in [*ln, *softmax, "blocks.1.mlp.act.inner"]:
        assert record[name].gradient_source == "complex step"
        for _ in range(3):
            index = tuple(rng.integers(size) for size in record[name].shape)
            slope = nudge(record, name, index).slope
            assert record[name].gradient[index] == pytest.approx(slope, rel=1e-5, abs=1e-11)


def test_float32_stays_float32():
    record = traced_vit()
    images = record.x.astype(np.float32)
    single = trace(record.layer, record.params.astype(np.float32), images, record.labels)
    assert {r.value.dtype for r in single if r.value.dtype.kind == "f"} == {np.dtype(np.float32)}
    for name in ("blocks.0.attn.scores", "ln.mean"):
        assert single[name].gradient.dtype == np.float32
        np.testing.assert_allclose(
            single[name].gradient, record[name].gradient, rtol=1e-2, atol=1e-6
        )


def test_needs_either_labels_or_dy():
    layer = Linear(3, 5)
    params = minivit.Params(layer.init(np.random.default_rng(0), np.float64))
    for given in ({}, dict(labels=[0, 1], dy=np.ones((2, 5)))):
        with pytest.raises(ValueError, match="give either labels, .* or dy"):
            trace(layer, params, np.ones((2, 3)), **given)


def test_an_unknown_name_is_refused_with_similar_ones():
    with pytest.raises(KeyError, match=r"no array is called 'blocks.1.attn.score'; .*attn.scores"):
        traced_vit()["blocks.1.attn.score"]


class Shrunk(GELU):
    """What it computes in between has no name in the backward, and is not always analytic."""

    def __init__(self, size):
        self.size = size

    def forward(self, x):
        half = 0.5 * x
        y = self.size(half)
        return y, {"x": x}

    def backward(self, dy, cache):
        return 0.5 * np.sign(cache["x"]) * dy


def test_says_when_the_complex_step_cannot_give_a_gradient():
    with pytest.raises(ValueError, match="half: its layer is not analytic, .* 0 by the complex"):
        _ = traced(Shrunk(np.abs), (2, 3))["half"].gradient
    with pytest.raises(ValueError, match="half: no complex step goes through its layer"):
        _ = traced(Shrunk(lambda x: np.arctan2(x, 1)), (2, 3))["half"].gradient
    assert traced(Shrunk(np.sin), (2, 3))["half"].gradient.shape == (2, 3)
