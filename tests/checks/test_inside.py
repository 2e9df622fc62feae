import numpy as np
import pytest

import minivit
from minivit.checks.inside import (
    Loss,
    arrays_of,
    backward_of,
    forward_of,
    replaced,
    sublayers,
    watched,
)
from minivit.checks.numeric import random_params
from minivit.layers import Attention, Dropout, LayerNorm, Linear, Softmax

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 7, 6))


@pytest.mark.parametrize("layer", [Softmax(), LayerNorm(6)])
def test_layers_with_and_without_parameters_are_called_in_one_way(layer):
    params = random_params(layer, RNG)
    y, cache = forward_of(layer, 0)(params, X)
    dx = backward_of(layer)(params, X, cache, params.zeros_like())
    assert y.shape == dx.shape == X.shape


def test_a_forward_that_draws_draws_the_same_in_every_pass():
    forward = forward_of(Dropout(0.5, 0.3), seed=3)
    y, _ = forward({}, X)
    assert 0 < (y == 0).mean() < 1
    np.testing.assert_array_equal(forward({}, X)[0], y)
    assert (forward_of(Dropout(0.5, 0.3), seed=4)({}, X)[0] != y).any()


def test_the_arrays_of_a_pass_have_the_names_of_the_source():
    layer = LayerNorm(6)
    params, dy = random_params(layer, RNG), RNG.standard_normal(X.shape)
    forward, backward = arrays_of(layer, layer.forward, params, X, dy)
    assert {"dy", "x", "y", "w", "b", "normed", "rstd"} <= forward.keys()
    assert {"dnormed", "along_normed", "dx"} <= backward.keys()
    np.testing.assert_allclose(forward["normed"].mean(axis=-1), 0, atol=1e-12)
    np.testing.assert_allclose(backward["dnormed"], dy * params["w"])


def test_sublayers_are_found_in_lists_and_dicts():
    model = minivit.ViT(
        image_size=4, patch_size=2, channels=1, dim=6, depth=2, heads=2, mlp_dim=5, classes=3,
        pool="cls",
    )  # fmt: skip
    names = [name for name, _ in sublayers(model)]
    assert names == [
        "patches", "cls", "pos", "dropout", "blocks.0", "blocks.1", "ln", "pool", "head"
    ]  # fmt: skip
    assert list(sublayers(Softmax())) == []


def test_calls_of_the_layers_inside_come_in_the_order_of_the_pass():
    layer = Attention(6, 2)
    params = random_params(layer, RNG)
    with watched(layer) as calls:
        y, cache = layer.forward(params, X)
        layer.backward(params, 2 * y, cache, params.zeros_like())
    names = ["qkv", "softmax", "proj"]
    assert [(call.name, call.method) for call in calls] == [
        *((name, "forward") for name in names), *((name, "backward") for name in names[::-1])
    ]  # fmt: skip
    assert calls[0].sub is layer.qkv
    np.testing.assert_array_equal(calls[0].array, X)
    assert calls[1].array.shape == (2, 2, 7, 7)
    np.testing.assert_array_equal(calls[2].result[0], y)
    np.testing.assert_array_equal(calls[3].array, 2 * y)
    assert "forward" not in vars(layer.qkv)


def test_replaced_puts_back_what_was_there():
    layer = Linear(3, 2)
    with replaced(layer, "init", lambda real: "inner"):
        assert layer.init() == "inner"
        with replaced(layer, "init", lambda real: "outer " + real()):
            assert layer.init() == "outer inner"
        assert layer.init() == "inner"
    assert "init" not in vars(layer)


def test_a_loss_is_a_layer():
    loss = Loss(lambda y: minivit.cross_entropy(y, [2, 0]))
    report = minivit.gradcheck(loss, RNG.standard_normal((2, 3)))
    assert report.ok, report
    wrong = Loss(lambda y: (minivit.cross_entropy(y, [2, 0])[0], y))
    assert not minivit.gradcheck(wrong, RNG.standard_normal((2, 3))).ok
