import numpy as np
import pytest

from minivit.layers import Positions


def test_gradient_is_summed_over_the_batch():
    rng = np.random.default_rng(0)
    pos, dy = rng.standard_normal((3, 5)), rng.standard_normal((4, 3, 5))
    grads = {"pos": np.zeros((3, 5))}
    Positions(3, 5).backward({"pos": pos}, dy, {}, grads)
    np.testing.assert_allclose(grads["pos"], sum(dy), rtol=1e-12)


def test_initial_positions_are_small():
    pos = Positions(100, 200).init(np.random.default_rng(0))["pos"]
    assert pos.std() == pytest.approx(0.02, rel=0.02)


def test_refuses_what_would_broadcast():
    with pytest.raises(ValueError, match=r"Positions: expected shape \(B, 3, 5\), got \(4, 1, 5\)"):
        Positions(3, 5).forward({"pos": np.zeros((3, 5))}, np.zeros((4, 1, 5)))
