import numpy as np

from minivit.checks.numeric import random_params
from minivit.layers import PreNormBlock
from tests.numeric import analytic


def test_branches_that_say_nothing_leave_x_and_dy_alone():
    rng = np.random.default_rng(0)
    layer = PreNormBlock(6, 2, 11)
    params = random_params(layer, rng)
    for branch in (params["attn"]["proj"], params["mlp"]["fc2"]):
        branch["w"][...] = 0
        branch["b"][...] = 0
    x, dy = rng.standard_normal((2, 3, 5, 6))
    y, gradients = analytic(layer, params, x, dy)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(gradients["x"], dy)


def test_every_output_token_depends_on_every_input_token():
    rng = np.random.default_rng(0)
    layer = PreNormBlock(6, 2, 11)
    params = random_params(layer, rng)
    x = rng.standard_normal((2, 5, 6))
    for token in range(5):
        dy = np.zeros_like(x)
        dy[:, token] = rng.standard_normal((2, 6))
        _, gradients = analytic(layer, params, x, dy)
        assert (np.abs(gradients["x"]).max(axis=-1) > 1e-6).all()
