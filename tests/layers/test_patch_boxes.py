import numpy as np
import pytest

from minivit.layers import PatchBoxes


def test_zeros_are_the_patches_themselves():
    boxes, _ = PatchBoxes(2, 3, 4).forward(np.zeros((1, 6, 4)))
    assert boxes[0].tolist() == [
        [0, 0, 4, 4], [4, 0, 8, 4], [8, 0, 12, 4], [0, 4, 4, 8], [4, 4, 8, 8], [8, 4, 12, 8],
    ]  # fmt: skip


def test_the_middle_moves_by_patches_and_the_size_grows_by_an_exponential():
    x = np.zeros((1, 6, 4))
    x[0, 1] = [0.5, -1, np.log(2), np.log(3)]
    boxes, _ = PatchBoxes(2, 3, 4).forward(x)
    np.testing.assert_allclose(boxes[0, 1], [8 - 4, -2 - 6, 8 + 4, -2 + 6])


def test_no_box_is_inside_out():
    boxes, _ = PatchBoxes(2, 3, 4).forward(9 * np.random.default_rng(0).standard_normal((5, 6, 4)))
    assert (boxes[..., 2:] > boxes[..., :2]).all()


def test_refuses_another_grid_and_sizes_that_cannot_work():
    with pytest.raises(ValueError, match=r"expected shape \(B, 6, 4\), got \(2, 5, 4\)"):
        PatchBoxes(2, 3, 4).forward(np.zeros((2, 5, 4)))
    with pytest.raises(ValueError, match="patch_size must be at least 1, got 0"):
        PatchBoxes(2, 3, 0)
