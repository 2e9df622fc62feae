import numpy as np
import pytest

import minivit
from minivit.checks.numeric import Slopes, directions_of, random_params, step_sweep
from minivit.layers import Attention, LayerNorm, Linear

RNG = np.random.default_rng(0)
X, DY = RNG.standard_normal((4, 5)), RNG.standard_normal((4, 3))
LAYER = Linear(5, 3)
PARAMS = random_params(LAYER, RNG)
U = RNG.standard_normal((5, 3))


def test_random_parameters_are_all_random_and_of_a_sane_size():
    params = random_params(Linear(400, 300), np.random.default_rng(0))
    assert params.flat.dtype == np.float64
    assert params["w"].std() == pytest.approx(400**-0.5, rel=0.02)
    assert params["b"].std() == pytest.approx(0.5, rel=0.1)
    of_norm = random_params(LayerNorm(500), np.random.default_rng(0))["w"]
    assert of_norm.mean() == pytest.approx(1, abs=0.1)
    assert of_norm.std() == pytest.approx(0.5, rel=0.1)


def test_slopes_along_a_direction_by_every_method():
    slopes = Slopes(LAYER.forward, PARAMS, X, DY, None)
    expected = float(((X.T @ DY) * U).sum())
    assert slopes.complex("w", U) == pytest.approx(expected, rel=1e-14)
    assert slopes.central("w", U) == pytest.approx(expected, rel=1e-8)
    assert slopes.one_sided("w", U, step=1e-6) == (pytest.approx(expected, rel=1e-6),) * 2
    assert slopes.value() == pytest.approx(float((LAYER.forward(PARAMS, X)[0] * DY).sum()))
    assert slopes.with_dy(2 * DY).complex("w", U) == pytest.approx(2 * expected, rel=1e-14)
    np.testing.assert_allclose(slopes.gradient("w"), X.T @ DY, rtol=1e-8)


def test_slopes_of_a_loss():
    def loss(y):
        return minivit.cross_entropy(y, [0, 2, 1, 1])

    slopes = Slopes(LAYER.forward, PARAMS, X, DY, loss)
    expected = float(((X.T @ loss(LAYER.forward(PARAMS, X)[0])[1]) * U).sum())
    assert slopes.complex("w", U) == pytest.approx(expected, rel=1e-13)


def test_the_best_central_difference_is_the_one_that_its_neighbours_agree_with():
    slopes = Slopes(lambda params, x: (np.sin(1e3 * x), {}), PARAMS, X, np.ones((4, 5)), None)
    one = np.zeros((4, 5))
    one[1, 2] = 1
    right = 1e3 * np.cos(1e3 * X[1, 2])
    best, error = slopes.best_central("x", one, loss_rounding=1e-13)
    assert abs(best - right) < 0.1 * abs(slopes.central("x", one) - right)
    assert abs(best - right) <= error < 1e-4 * abs(right)


def test_where_no_step_is_small_enough_the_error_says_so():
    slopes = Slopes(lambda params, x: (np.tanh(1e9 * x), {}), PARAMS, 0 * X, np.ones((4, 5)), None)
    one = np.zeros((4, 5))
    one[1, 2] = 1
    best, error = slopes.best_central("x", one, loss_rounding=1e-15)
    assert error > abs(best)


def test_steps_grow_with_the_numbers():
    for size, blur in ((1e-6, 1e3), (1, 1e3), (300, 10), (1e4, 0.1)):
        slopes = Slopes(LAYER.forward, PARAMS, np.full((2, 5), size), DY[:2], None)
        assert slopes.best_central("x", X[:2], 1.0)[1] == pytest.approx(blur, rel=1e-4)


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


def test_central_differences_make_a_v_and_the_complex_step_has_no_step_to_choose():
    x = np.random.default_rng(0).standard_normal((2, 7, 15))
    steps = 10.0 ** np.arange(-14, 1)
    errors = step_sweep(Attention(15, 3), x, steps)
    best = errors["central"].argmin()
    assert 1e-7 <= steps[best] <= 1e-3
    assert errors["central"][best] < 1e-8
    assert errors["central"][0] > 1e3 * errors["central"][best] < errors["central"][-1]
    assert (errors["complex"][steps <= 1e-8] < 1e-13).all()
