import math
import sys

import numpy as np
import pytest

from minivit.layers import GELU, ExactGELU

X = np.concatenate([np.linspace(-12, 6, 1801), [-37.0, -1e-8, 0.0, 1e-8]])


@pytest.mark.parametrize("dtype, limit", [(np.float32, 4e-7), (np.float64, 1e-12)])
def test_is_x_times_the_normal_distribution_however_small(dtype, limit):
    x = X.astype(dtype)
    exact = np.array([value * math.erfc(-value / math.sqrt(2)) / 2 for value in x.tolist()])
    y, _ = ExactGELU().forward(x)
    normal = abs(exact) > np.finfo(dtype).tiny  # below, no dtype has all its digits
    assert y.dtype == dtype
    np.testing.assert_allclose(y[normal], exact[normal], rtol=limit)
    assert normal.sum() > 1700


def test_far_values_pass_or_vanish():
    y, cache = ExactGELU().forward(np.array([-100.0, 0.0, 100.0], np.float32))
    dx = ExactGELU().backward(np.ones(3, np.float32), cache)
    np.testing.assert_array_equal(y, [0, 0, 100])
    np.testing.assert_allclose(dx, [0, 0.5, 1])


def test_differs_from_the_tanh_form():
    difference = abs(ExactGELU().forward(X)[0] - GELU().forward(X)[0]).max()
    assert 1e-4 < difference < 5e-4


def test_without_scipy_one_line_says_what_to_install(monkeypatch, device):
    if device != "cpu":
        pytest.skip("only NumPy needs SciPy")
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    with pytest.raises(ImportError, match="exact GELU needs SciPy, .*: pip install scipy"):
        ExactGELU().forward(X)
