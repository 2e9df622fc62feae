import numpy as np
import pytest

from minivit.layers import ClassToken


def test_the_token_comes_first_and_collects_from_the_whole_batch():
    rng = np.random.default_rng(0)
    x, dy, cls = rng.standard_normal((4, 3, 5)), rng.standard_normal((4, 4, 5)), np.arange(5.0)
    y, _ = ClassToken(5).forward({"cls": cls}, x)
    np.testing.assert_array_equal(y[:, 0], np.tile(cls, (4, 1)))
    np.testing.assert_array_equal(y[:, 1:], x)
    grads = {"cls": np.zeros(5)}
    dx = ClassToken(5).backward({"cls": cls}, dy, {}, grads)
    np.testing.assert_array_equal(dx, dy[:, 1:])
    np.testing.assert_allclose(grads["cls"], sum(dy[i, 0] for i in range(4)), rtol=1e-12)


def test_refuses_a_wrong_width():
    with pytest.raises(
        ValueError, match=r"ClassToken: expected shape \(B, N, 5\), got \(4, 3, 6\)"
    ):
        ClassToken(5).forward({"cls": np.zeros(5)}, np.zeros((4, 3, 6)))
