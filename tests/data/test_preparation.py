import numpy as np
import pytest

from minivit.data.preparation import Preparation


def some_images(channels=()):
    return np.random.default_rng(0).integers(0, 256, (50, 6, 8, *channels)).astype(np.uint8)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_prepared_images_have_mean_zero_and_std_one(channels):
    images = some_images(channels)
    prepared = Preparation.of(images)(images)
    assert prepared.shape == (50, 6, 8, *(channels or (1,)))
    assert prepared.dtype == np.float32
    assert prepared.mean() == pytest.approx(0, abs=1e-5)
    assert prepared.std() == pytest.approx(1, rel=1e-5)


def test_formula():
    pixel = np.full((1, 1, 1), 51, np.uint8)
    assert Preparation(mean=0.1, std=0.4)(pixel).item() == pytest.approx((51 / 255 - 0.1) / 0.4)


def test_refuses_images_of_one_colour():
    with pytest.raises(ValueError, match="all pixels of the training images are equal"):
        Preparation.of(np.full((5, 4, 4), 7, np.uint8))


def test_refuses_pixels_that_are_not_raw():
    with pytest.raises(TypeError, match="images are float32; expected the raw uint8 pixels"):
        Preparation(0.1, 0.3)(some_images().astype(np.float32))
