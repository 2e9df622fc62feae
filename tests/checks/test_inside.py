import numpy as np

import minivit
from minivit.checks.inside import Loss, arrays_of, inputs_of_sublayers, replaced, sublayers
from minivit.checks.numeric import random_params
from minivit.layers import Attention, LayerNorm, Linear, Softmax

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 7, 6))


def test_the_arrays_of_a_pass_have_the_names_of_the_source():
    layer = LayerNorm(6)
    params, dy = random_params(layer, RNG), RNG.standard_normal(X.shape)
    forward, backward = arrays_of(layer, layer.forward, params, X, dy)
    assert list(forward) == ["dy", "x", "y", "w", "b", "normed", "rstd", "mean", "var"]
    assert list(backward) == ["dy_normed", "dnormed", "dnormed_mean", "along_normed", "dx"]
    np.testing.assert_allclose(forward["normed"].mean(axis=-1), 0, atol=1e-12)
    np.testing.assert_array_equal(backward["dy_normed"], dy * forward["normed"])


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


def test_inputs_of_sublayers_come_in_the_order_of_the_pass():
    layer = Attention(6, 2)
    params = random_params(layer, RNG)
    inputs = inputs_of_sublayers(layer, layer.forward, params, X, loss=lambda y: (y.sum(), 0 * y))
    assert [name for name, _, _ in inputs] == ["qkv", "softmax", "proj", "loss"]
    assert inputs[0][1] is layer.qkv
    np.testing.assert_array_equal(inputs[0][2], X)
    assert inputs[1][2].shape == (2, 2, 7, 7)
    np.testing.assert_array_equal(inputs[3][2], layer.forward(params, X)[0])
    assert "forward" not in vars(layer.qkv)


def test_replaced_puts_back_what_was_there():
    layer = Linear(3, 2)
    with replaced(layer, "init", lambda real: lambda *rest: "inner"):
        assert layer.init() == "inner"
        with replaced(layer, "init", lambda real: lambda *rest: "outer " + real()):
            assert layer.init() == "outer inner"
        assert layer.init() == "inner"
    assert "init" not in vars(layer)


def test_a_loss_is_a_layer():
    loss = Loss(lambda y: minivit.cross_entropy(y, [2, 0]))
    report = minivit.gradcheck(loss, RNG.standard_normal((2, 3)))
    assert report.ok, report
    wrong = Loss(lambda y: (minivit.cross_entropy(y, [2, 0])[0], y))
    assert not minivit.gradcheck(wrong, RNG.standard_normal((2, 3))).ok
