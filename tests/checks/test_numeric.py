import numpy as np
import pytest

from minivit.checks.numeric import central_difference, complex_step, one_sided, random_params
from minivit.layers import LayerNorm, Linear

X = np.array([0.3, -1.2, 2.0])
U = np.array([1.0, 0.5, -2.0])
SLOPE = float((np.cos(X) * U).sum())  # of Σ sin(x)


def test_the_three_rules_and_what_they_leave_behind():
    x = X.copy()
    assert central_difference(lambda: np.sin(x).sum(), x, U) == pytest.approx(SLOPE, rel=1e-9)
    left, right = one_sided(lambda: np.sin(x).sum(), x, U)
    assert (left, right) == (pytest.approx(SLOPE, rel=1e-5), pytest.approx(SLOPE, rel=1e-5))
    np.testing.assert_array_equal(x, X)
    z = X.astype(complex)
    assert complex_step(lambda: np.sin(z).sum(), z, U) == pytest.approx(SLOPE, rel=1e-15)
    np.testing.assert_array_equal(z, X)


def test_the_sides_of_a_kink_differ():
    x = np.zeros(1)
    assert one_sided(lambda: np.abs(x).sum(), x, np.ones(1)) == (
        pytest.approx(-1),
        pytest.approx(1),
    )


def test_random_parameters_are_all_random_and_of_a_sane_size():
    params = random_params(Linear(400, 300), np.random.default_rng(0))
    assert params.flat.dtype == np.float64
    assert params["w"].std() == pytest.approx(400**-0.5, rel=0.02)
    assert params["b"].std() == pytest.approx(0.5, rel=0.1)
    of_norm = random_params(LayerNorm(500), np.random.default_rng(0))["w"]
    assert (of_norm.mean(), of_norm.std()) == (
        pytest.approx(1, abs=0.1),
        pytest.approx(0.5, rel=0.1),
    )
