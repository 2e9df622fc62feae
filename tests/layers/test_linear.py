import numpy as np
import pytest

from minivit.layers import Linear


def test_equals_naive_loops():
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((2, 3)), rng.standard_normal((3, 5)), rng.standard_normal(5)
    y, _ = Linear(3, 5).forward({"w": w, "b": b}, x)
    for r in range(2):
        for j in range(5):
            assert y[r, j] == pytest.approx(sum(x[r, i] * w[i, j] for i in range(3)) + b[j])


def test_takes_a_single_token():
    layer = Linear(3, 5)
    params = layer.init(np.random.default_rng(0), np.float64)
    x, grads = np.array([1.0, 2.0, 3.0]), {"w": np.zeros((3, 5)), "b": np.zeros(5)}
    y, cache = layer.forward(params, x)
    np.testing.assert_allclose(y, x @ params["w"])
    dx = layer.backward(params, np.arange(5.0), cache, grads)
    np.testing.assert_allclose(dx, params["w"] @ np.arange(5.0))
    np.testing.assert_allclose(grads["w"], np.outer(x, np.arange(5.0)))


def test_initial_weights():
    w = Linear(400, 300).init(np.random.default_rng(0))["w"]
    assert w.dtype == np.float32
    assert w.std() == pytest.approx(1 / 20, rel=0.01)
    assert np.abs(w).max() <= 2 / 20 / 0.879
    assert abs(w.mean()) < 1e-3
    halved = Linear(400, 300, gain=0.5).init(np.random.default_rng(0))["w"]
    np.testing.assert_allclose(halved, w / 2, rtol=1e-6)
    assert not Linear(400, 300, gain=0.0).init(np.random.default_rng(0))["w"].any()


def test_one_seed_gives_one_model_in_every_dtype():
    single = Linear(7, 5).init(np.random.default_rng(0), np.float32)["w"]
    double = Linear(7, 5).init(np.random.default_rng(0), np.float64)["w"]
    np.testing.assert_array_equal(single, double.astype(np.float32))


def test_refuses_a_wrong_width():
    layer = Linear(3, 5)
    params = layer.init(np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"Linear: expected shape \(\.\.\., 3\), got \(2, 4\)"):
        layer.forward(params, np.zeros((2, 4), np.float32))


@pytest.mark.parametrize("size", [0, -3, True])
def test_refuses_sizes_below_one(size):
    with pytest.raises(ValueError, match=f"Linear: d_in must be at least 1, got {size}"):
        Linear(size, 5)


@pytest.mark.parametrize("size", [2.0, "2", None])
def test_refuses_sizes_that_are_no_integers(size):
    with pytest.raises(TypeError, match=f"Linear: d_out must be an integer, got {size!r}"):
        Linear(3, size)
