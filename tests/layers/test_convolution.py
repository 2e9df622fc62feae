import numpy as np
import pytest

from minivit.layers import Convolution, Halve


def test_is_the_sum_over_the_neighbours():
    rng = np.random.default_rng(0)
    layer, x = Convolution(2, 3, kernel=5), rng.standard_normal((1, 4, 6, 2))
    w, b = rng.standard_normal((5, 5, 2, 3)), rng.standard_normal(3)
    y, _ = layer.forward({"w": w.reshape(50, 3), "b": b}, x)
    expected = np.zeros((4, 6, 3)) + b
    for r, c in np.ndindex(4, 6):
        for i, j in np.ndindex(5, 5):
            row, column = r + i - 2, c + j - 2
            if 0 <= row < 4 and 0 <= column < 6:
                expected[r, c] += x[0, row, column] @ w[i, j]
    np.testing.assert_allclose(y[0], expected, rtol=1e-12)


def test_refuses_what_cannot_work():
    with pytest.raises(ValueError, match="kernel must be odd, got 4"):
        Convolution(2, 3, kernel=4)
    with pytest.raises(ValueError, match=r"expected shape \(B, H, W, 2\)"):
        Convolution(2, 3).forward({"w": np.ones((18, 3)), "b": np.ones(3)}, np.ones((1, 4, 4, 3)))
    with pytest.raises(ValueError, match="4 x 5 pixels cannot be halved; expected even sides"):
        Halve().forward(np.ones((1, 4, 5, 2)))
