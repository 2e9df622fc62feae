import numpy as np
import pytest

from minivit.layers import LayerNorm


def test_every_token_has_mean_zero_and_variance_one():
    x = 3 + 5 * np.random.default_rng(0).standard_normal((2, 3, 50))
    layer = LayerNorm(50, eps=1e-12)
    y, _ = layer.forward(layer.init(None, np.float64), x)
    np.testing.assert_allclose(y.mean(axis=-1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=-1), 1, rtol=1e-9)


def test_ignores_shift_and_scale_of_a_token():
    rng = np.random.default_rng(0)
    layer = LayerNorm(7, eps=1e-15)
    params = {"w": rng.standard_normal(7), "b": rng.standard_normal(7)}
    x = rng.standard_normal((3, 7))
    y, _ = layer.forward(params, x)
    moved, _ = layer.forward(params, 4 * x + 9)
    np.testing.assert_allclose(moved, y, rtol=1e-9, atol=1e-12)


def test_a_constant_token_stays_finite():
    layer = LayerNorm(5)
    params = layer.init(None, np.float32)
    y, cache = layer.forward(params, np.full((1, 5), 7, np.float32))
    dx = layer.backward(params, np.ones((1, 5), np.float32), cache, layer.init(None))
    assert not y.any()
    assert np.isfinite(dx).all()


def test_refuses_what_would_broadcast():
    layer = LayerNorm(5)
    with pytest.raises(ValueError, match=r"LayerNorm: expected shape \(\.\.\., 5\), got \(3, 1\)"):
        layer.forward(layer.init(None), np.zeros((3, 1), np.float32))


@pytest.mark.parametrize("eps", [0, -1e-6, float("nan")])
def test_refuses_an_eps_that_is_not_positive(eps):
    with pytest.raises(ValueError, match="LayerNorm: eps must be positive"):
        LayerNorm(5, eps)
