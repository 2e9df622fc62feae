import numpy as np
import pytest

from minivit.data.augment import random_shift


@pytest.mark.parametrize("channels", [(), (3,)])
def test_every_image_is_moved_by_its_own_amount(channels):
    images = np.zeros((300, 9, 11, *channels), np.uint8)
    images[:, 4, 6] = 200  # one bright pixel
    shifted = random_shift(images, 2, np.random.default_rng(0))
    assert (shifted.shape, shifted.dtype) == (images.shape, images.dtype)
    flat = shifted.reshape(300, 9, 11, -1)[..., 0]
    _, rows, columns = np.nonzero(flat)
    assert len(rows) == 300  # it is still there, once
    assert (flat.max(axis=(1, 2)) == 200).all()
    moves = {(row - 4, column - 6) for row, column in zip(rows, columns, strict=True)}
    assert moves == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}


def test_zeros_come_in_at_the_edge():
    shifted = random_shift(np.ones((50, 4, 4), np.uint8), 1, np.random.default_rng(0))
    assert {int(image.sum()) for image in shifted} == {16, 12, 9}


def test_same_seed_same_shifts_and_the_images_are_left_alone():
    images = np.random.default_rng(1).integers(0, 256, (20, 6, 6)).astype(np.uint8)
    kept = images.copy()
    one, two, other = (random_shift(images, 2, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()
    np.testing.assert_array_equal(images, kept)
