import numpy as np

from minivit.checks.numeric import random_params
from minivit.layers import LayerNorm, PostNormBlock
from tests.numeric import analytic


def test_branches_that_say_nothing_leave_two_layer_norms():
    rng = np.random.default_rng(0)
    layer = PostNormBlock(6, 2, 11)
    params = random_params(layer, rng)
    for branch in (params["attn"]["proj"], params["mlp"]["fc2"]):
        branch["w"][...] = 0
        branch["b"][...] = 0
    x = rng.standard_normal((3, 5, 6))
    mid, _ = LayerNorm(6).forward(params["ln1"], x)
    expected, _ = LayerNorm(6).forward(params["ln2"], mid)
    np.testing.assert_array_equal(layer.forward(params, x)[0], expected)


def test_every_token_leaves_with_mean_0_and_variance_1():
    rng = np.random.default_rng(0)
    layer = PostNormBlock(30, 2, 11)
    y, _ = layer.forward(layer.init(rng, np.float64), 5 + 7 * rng.standard_normal((3, 5, 30)))
    np.testing.assert_allclose(y.mean(axis=-1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=-1), 1, rtol=1e-4)


def test_every_output_token_depends_on_every_input_token():
    rng = np.random.default_rng(0)
    layer = PostNormBlock(6, 2, 11)
    params = random_params(layer, rng)
    x = rng.standard_normal((2, 5, 6))
    for token in range(5):
        dy = np.zeros_like(x)
        dy[:, token] = rng.standard_normal((2, 6))
        _, gradients = analytic(layer, params, x, dy)
        assert (np.abs(gradients["x"]).max(axis=-1) > 1e-6).all()


def test_dropout_leaves_out_whole_branches():
    rng = np.random.default_rng(0)
    layer = PostNormBlock(6, 2, 11, drop_path=1 - 1e-9)
    params = random_params(layer, rng)
    x = rng.standard_normal((2, 5, 6))
    mid, _ = LayerNorm(6).forward(params["ln1"], x)
    expected, _ = LayerNorm(6).forward(params["ln2"], mid)
    np.testing.assert_array_equal(layer.forward(params, x, rng)[0], expected)
