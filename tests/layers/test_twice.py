import numpy as np
import pytest

from minivit.layers import Positions, Twice


def test_tokens_come_without_positions_and_then_with_them():
    rng = np.random.default_rng(0)
    x, pos, dy = (rng.standard_normal(shape) for shape in [(2, 3, 5), (3, 5), (2, 6, 5)])
    layer, params, grads = Twice(Positions(3, 5)), {"pos": pos}, {"pos": np.zeros((3, 5))}
    y, cache = layer.forward(params, x)
    np.testing.assert_array_equal(y[:, :3], x)
    np.testing.assert_array_equal(y[:, 3:], x + pos)
    dx = layer.backward(params, dy, cache, grads)
    np.testing.assert_array_equal(dx, dy[:, 3:] + dy[:, :3])
    np.testing.assert_array_equal(grads["pos"], dy[0, 3:] + dy[1, 3:])


def test_refuses_what_its_positions_refuse():
    with pytest.raises(ValueError, match=r"Positions: expected shape \(B, 3, 5\)"):
        Twice(Positions(3, 5)).forward({"pos": np.zeros((3, 5))}, np.zeros((2, 4, 5)))
