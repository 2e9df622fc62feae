import numpy as np

from minivit.checks.numeric import random_params
from minivit.layers import MLP


def test_every_token_is_treated_alike_and_alone():
    rng = np.random.default_rng(0)
    layer = MLP(5, 11)
    params = random_params(layer, rng)
    x = rng.standard_normal((2, 7, 5))
    y, _ = layer.forward(params, x)
    backwards, _ = layer.forward(params, x[:, ::-1])
    np.testing.assert_allclose(backwards, y[:, ::-1], rtol=1e-12)


def test_only_the_way_out_is_scaled_at_the_start():
    full = MLP(5, 11).init(np.random.default_rng(0))
    small = MLP(5, 11, gain=0.25).init(np.random.default_rng(0))
    np.testing.assert_array_equal(small["fc1"]["w"], full["fc1"]["w"])
    np.testing.assert_allclose(small["fc2"]["w"], full["fc2"]["w"] / 4, rtol=1e-6)
