import dataclasses
import json

import numpy as np
import pytest

from minivit.data import preparation as preparation_module
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


def test_each_channel_has_its_own_mean_and_std():
    images = some_images((3,)) // np.array([1, 2, 4], np.uint8) + np.array([0, 9, 20], np.uint8)
    preparation = Preparation.of(images)
    np.testing.assert_allclose(preparation.mean, images.mean(axis=(0, 1, 2)) / 255, rtol=1e-12)
    np.testing.assert_allclose(preparation.std, images.std(axis=(0, 1, 2)) / 255, rtol=1e-12)
    prepared = preparation(images)
    np.testing.assert_allclose(prepared.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(prepared.std(axis=(0, 1, 2)), 1, rtol=1e-5)
    assert prepared.dtype == np.float32
    assert Preparation(**json.loads(json.dumps(dataclasses.asdict(preparation)))) == preparation


def test_one_mean_for_all_channels_as_older_runs_have_it():
    images = some_images((3,))
    expected = (images / 255 - 0.4) / 0.3
    np.testing.assert_allclose(Preparation(0.4, 0.3)(images), expected, rtol=1e-5, atol=1e-6)


def test_a_channel_without_contrast_is_zero():
    images = some_images((2,))
    images[..., 1] = 99
    prepared = Preparation.of(images)(images)
    np.testing.assert_allclose(prepared[..., 1], 0, atol=1e-6)
    assert prepared[..., 0].std() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("most, expected", [(1, [0]), (20, slice(0, None, 3)), (99, slice(None))])
def test_measured_on_some_that_lie_evenly(monkeypatch, most, expected):
    monkeypatch.setattr(preparation_module, "AT_ONCE", 7)
    images = some_images()
    found, wanted = Preparation.of(images, most), Preparation.of(images[expected])
    assert found == wanted
    assert found.mean == pytest.approx(images[expected].mean() / 255, rel=1e-12)
    assert found.std == pytest.approx(images[expected].std() / 255, rel=1e-12)


def test_refuses_images_of_one_colour():
    with pytest.raises(ValueError, match="all pixels of the training images are equal"):
        Preparation.of(np.full((5, 4, 4), 7, np.uint8))


def test_refuses_pixels_that_are_not_raw():
    with pytest.raises(TypeError, match="images are float32; expected the raw uint8 pixels"):
        Preparation(0.1, 0.3)(some_images().astype(np.float32))


def test_refuses_images_of_other_channels():
    prepare = Preparation([0.1, 0.2, 0.3], [0.3, 0.3, 0.3])
    with pytest.raises(ValueError, match="images have 1 channels, the preparation's mean has 3"):
        prepare(np.zeros((2, 4, 4), np.uint8))
