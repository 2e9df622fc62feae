"""A factor is named by what it is in the layer."""

import numpy as np
import pytest

from minivit.checks.diagnose import Mismatch, diagnose

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "x_shape, dy_shape, more, factor, name",
    [
        ((4, 3, 7), (4, 3, 7), {}, 1 / 7, "1/D = 1/7"),
        ((4, 3, 7), (4, 3, 7), {}, 2, "2"),
        ((4, 3, 7), (4, 3, 7), {}, 6 / 7, "(D − 1)/D = 0.857143"),
        ((3, 7, 15), (3, 7, 15), {"heads": 3}, 5, "d = 5"),
        ((3, 7, 15), (3, 7, 15), {"heads": 3}, 3**-0.5, "√d/√D = 0.57735"),
        ((4, 6, 10, 3), (4, 15, 7), {}, 1 / 15, "1/N = 1/15"),
        ((4, 6, 10, 3), (4, 15, 7), {}, 1 / 60, "1/B·N = 1/60"),
        ((5, 3), (), {}, 5 / 3, "B/K = 1.66667"),
        ((5, 3), (), {}, 1 / 3, "1/K = 1/3"),
        ((5, 4), (5, 4), {}, 1 / 4, "1/D = 1/4"),
        ((5, 3), (), {"rates": {"smoothing": 0.1}}, 1 / 0.9, "1/(1 − smoothing) = 1.11111"),
        ((5, 3, 7), (5, 3, 7), {"rates": {"rate": 0.3}}, 0.7, "(1 − rate) = 0.7"),
        ((5, 3, 7), (5, 3, 7), {}, 0.7, "0.7"),
    ],
)
def test_a_factor_has_its_name(x_shape, dy_shape, more, factor, name):
    right = RNG.standard_normal(x_shape)
    forward = {"dy": np.asarray(RNG.standard_normal(dy_shape))}
    cause = diagnose(Mismatch(factor * right, right, x_shape, forward=forward, **more))
    assert cause == f"it is {name} times what it should be, in every entry"
