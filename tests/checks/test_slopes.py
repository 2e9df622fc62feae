import numpy as np
import pytest

import minivit
from minivit.checks.numeric import random_params
from minivit.checks.slopes import Slopes, directions_of
from minivit.layers import Linear

RNG = np.random.default_rng(0)
X, DY = RNG.standard_normal((4, 5)), RNG.standard_normal((4, 3))
LAYER = Linear(5, 3)
PARAMS = random_params(LAYER, RNG)
U = RNG.standard_normal((5, 3))


def test_slopes_along_a_direction_by_every_method():
    slopes = Slopes(LAYER.forward, PARAMS, X, DY, None)
    expected = float(((X.T @ DY) * U).sum())
    assert slopes.complex("w", U) == pytest.approx(expected, rel=1e-14)
    assert slopes.central("w", U) == pytest.approx(expected, rel=1e-8)
    assert slopes.one_sided("w", U) == (pytest.approx(expected, rel=1e-6),) * 2
    assert slopes.value() == pytest.approx(float((LAYER.forward(PARAMS, X)[0] * DY).sum()))
    assert slopes.with_dy(2 * DY).complex("w", U) == pytest.approx(2 * expected, rel=1e-14)


def test_slopes_of_a_loss():
    def loss(y):
        return minivit.cross_entropy(y, [0, 2, 1, 1])

    slopes = Slopes(LAYER.forward, PARAMS, X, DY, loss)
    expected = float(((X.T @ loss(LAYER.forward(PARAMS, X)[0])[1]) * U).sum())
    assert slopes.complex("w", U) == pytest.approx(expected, rel=1e-13)


def test_the_best_central_difference_is_nearest_to_the_slope_if_that_is_right():
    slopes = Slopes(lambda params, x: (np.sin(1e3 * x), {}), PARAMS, X, np.ones((4, 5)), None)
    one = np.zeros((4, 5))
    one[1, 2] = 1
    right = 1e3 * np.cos(1e3 * X[1, 2])
    usual = slopes.central("x", one)
    best = slopes.best_central("x", one, right, usual)
    assert abs(best - right) < 0.1 * abs(usual - right)
    assert abs(slopes.best_central("x", one, 1.1 * right, usual) - right) < 1e-2 * abs(right)


def test_directions_are_single_entries_a_sample_or_random():
    every = list(directions_of(X, "full", 20, None))
    assert [index for index, _ in every] == list(np.ndindex(4, 5))
    assert all(u.sum() == u[index] == 1 for index, u in every)
    drawn = list(directions_of(X, "full", 7, RNG))
    assert len({index for index, _ in drawn}) == 7
    for index, direction in directions_of(X, "directional", 20, RNG):
        assert index is None
        assert np.linalg.norm(direction) == pytest.approx(1)
        assert (direction != 0).all()
