import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minivit import gradcheck
from minivit.layers import Patches
from minivit.layers.patches import cut_patches, join_patches

sizes = st.integers(1, 5)


@given(sizes, sizes, sizes, st.one_of(sizes, st.tuples(sizes, sizes)), sizes)
def test_cut_and_join_are_inverse(batch, rows, columns, patch_size, channels):
    P, Q = patch_size if isinstance(patch_size, tuple) else (patch_size, patch_size)
    H, W = rows * P, columns * Q
    images = np.random.default_rng(0).standard_normal((batch, H, W, channels))
    patches = cut_patches(images, patch_size)
    assert patches.shape == (batch, rows * columns, P * Q * channels)
    np.testing.assert_array_equal(join_patches(patches, H, W, patch_size), images)


@pytest.mark.parametrize("patch_size, P, Q", [(2, 2, 2), ((2, 3), 2, 3), ([4, 1], 4, 1)])
def test_patches_are_cut_row_by_row(patch_size, P, Q):
    images = np.arange(4 * 6 * 2).reshape(1, 4, 6, 2)
    patches = cut_patches(images, patch_size)
    places = [(row, column) for row in range(0, 4, P) for column in range(0, 6, Q)]
    assert patches.shape == (1, len(places), P * Q * 2)
    for n, (row, column) in enumerate(places):
        cut = images[0, row : row + P, column : column + Q]
        np.testing.assert_array_equal(patches[0, n], cut.reshape(-1))


def test_the_gradients_of_oblong_patches():
    layer = Patches(4, 9, (2, 3), 2, 5)
    assert layer.count == 6
    assert gradcheck(layer, np.random.default_rng(0).standard_normal((2, 4, 9, 2))).ok


@pytest.mark.parametrize(
    "height, width, patch_size, sides",
    [
        (28, 28, 5, "5 x 5"),
        (28, 27, 7, "7 x 7"),
        (27, 28, 7, "7 x 7"),
        (28, 28, (7, 5), "7 x 5"),
        (28, 28, (5, 7), "5 x 7"),
    ],
)
def test_refuses_an_image_that_is_not_divisible(height, width, patch_size, sides):
    message = f"image of {height} x {width} pixels cannot be cut into patches of {sides};"
    with pytest.raises(ValueError, match=message):
        Patches(height, width, patch_size, 1, 8)


@pytest.mark.parametrize(
    "patch_size, error, message",
    [
        (
            (2, 3, 4),
            ValueError,
            r"patch_size must be one number or \(height, width\), got \(2, 3, 4",
        ),
        ((2, 0), ValueError, "patch_width must be at least 1, got 0"),
        (2.5, TypeError, "patch_height must be an integer, got 2.5"),
    ],
)
def test_refuses_what_is_no_size_of_a_patch(patch_size, error, message):
    with pytest.raises(error, match=f"Patches: {message}"):
        Patches(4, 6, patch_size, 1, 8)


@pytest.mark.parametrize("shape", [(2, 6, 10), (2, 10, 6, 3), (2, 6, 10, 1), (6, 10, 3)])
def test_refuses_images_of_another_shape(shape):
    layer = Patches(6, 10, 2, 3, 7)
    with pytest.raises(ValueError, match=r"Patches: expected shape \(B, 6, 10, 3\), got"):
        layer.forward(layer.init(np.random.default_rng(0)), np.zeros(shape, np.float32))
