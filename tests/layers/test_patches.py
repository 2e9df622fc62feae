import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minivit.layers import Patches
from minivit.layers.patches import cut_patches, join_patches

sizes = st.integers(1, 5)


@given(sizes, sizes, sizes, sizes, sizes)
def test_cut_and_join_are_inverse(batch, rows, columns, patch_size, channels):
    H, W = rows * patch_size, columns * patch_size
    images = np.random.default_rng(0).standard_normal((batch, H, W, channels))
    patches = cut_patches(images, patch_size)
    assert patches.shape == (batch, rows * columns, patch_size * patch_size * channels)
    np.testing.assert_array_equal(join_patches(patches, H, W, patch_size), images)


def test_patches_are_cut_row_by_row():
    images = np.arange(4 * 6 * 2).reshape(1, 4, 6, 2)
    patches = cut_patches(images, 2)
    assert patches.shape == (1, 6, 8)
    for n, (row, column) in enumerate((r, c) for r in range(2) for c in range(3)):
        square = images[0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        np.testing.assert_array_equal(patches[0, n], square.reshape(-1))


@pytest.mark.parametrize("height, width, patch_size", [(28, 28, 5), (28, 27, 7), (27, 28, 7)])
def test_refuses_an_image_that_is_not_divisible(height, width, patch_size):
    message = f"image of {height} x {width} pixels cannot be cut into patches of {patch_size} x"
    with pytest.raises(ValueError, match=message):
        Patches(height, width, patch_size, 1, 8)


@pytest.mark.parametrize("shape", [(2, 6, 10), (2, 10, 6, 3), (2, 6, 10, 1), (6, 10, 3)])
def test_refuses_images_of_another_shape(shape):
    layer = Patches(6, 10, 2, 3, 7)
    with pytest.raises(ValueError, match=r"Patches: expected shape \(B, 6, 10, 3\), got"):
        layer.forward(layer.init(np.random.default_rng(0)), np.zeros(shape, np.float32))
