import cv2
import numpy as np
import pytest

from minivit.data.resized import Resized

GREY = np.random.default_rng(0).integers(0, 256, (9, 7, 5), np.uint8)


def test_images_grow_as_opencv_interpolates_by_cubics_and_their_grey_is_repeated():
    images = Resized(GREY, 17, 19, 3)
    assert (images.shape, images.ndim, len(images)) == ((9, 17, 19, 3), 4, 9)
    expected = [cv2.resize(grey, (19, 17), interpolation=cv2.INTER_CUBIC) for grey in GREY]
    actual = images[:]
    assert (actual.shape, actual.dtype) == (images.shape, np.uint8)
    for channel in range(3):
        np.testing.assert_allclose(actual[..., channel].astype(int), expected, atol=1)


def test_images_are_taken_as_from_an_array():
    images = Resized(GREY, 17, 19, 3)
    array = np.stack([images[number] for number in range(9)])
    for chosen in (np.array([4, 0, 4]), [8], slice(2, 9, 3), slice(6, 20), slice(0), -1):
        np.testing.assert_array_equal(images[chosen], array[chosen])
    np.testing.assert_array_equal(list(images), array)


@pytest.mark.parametrize("channels", [1, 3])
def test_at_their_own_size_images_stay_as_they_are(channels):
    images = Resized(GREY, 7, 5, channels)[:]
    np.testing.assert_array_equal(images, np.repeat(GREY[..., None], channels, axis=3))
