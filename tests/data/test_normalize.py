import dataclasses
import json

import numpy as np
import pytest

from minivit.data import normalize as module
from minivit.data.normalize import Normalize


def some_images(channels=()):
    return np.random.default_rng(0).integers(0, 256, (50, 6, 8, *channels)).astype(np.uint8)


def test_the_formula_with_one_mean_for_all_channels():
    images = some_images((3,))
    expected = (images / 255 - 0.4) / 0.3
    np.testing.assert_allclose(Normalize(0.4, 0.3)(images), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_each_channel_is_brought_to_mean_zero_and_std_one(channels):
    images = some_images(channels)
    if channels:
        images = images // np.array([1, 2, 4], np.uint8) + np.array([0, 9, 20], np.uint8)
    normalize = Normalize.of(images)
    np.testing.assert_allclose(normalize.mean, images.mean(axis=(0, 1, 2)) / 255, rtol=1e-12)
    np.testing.assert_allclose(normalize.std, images.std(axis=(0, 1, 2)) / 255, rtol=1e-12)
    prepared = normalize(images)
    assert (prepared.shape, prepared.dtype) == ((50, 6, 8, *(channels or (1,))), np.float32)
    np.testing.assert_allclose(prepared.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(prepared.std(axis=(0, 1, 2)), 1, rtol=1e-5)
    assert Normalize(**json.loads(json.dumps(dataclasses.asdict(normalize)))) == normalize


def test_a_channel_without_contrast_is_zero():
    images = some_images((2,))
    images[..., 1] = 99
    prepared = Normalize.of(images)(images)
    np.testing.assert_allclose(prepared[..., 1], 0, atol=1e-6)
    assert prepared[..., 0].std() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("most, expected", [(1, [0]), (20, slice(0, None, 3)), (99, slice(None))])
def test_measures_some_images_spread_evenly(monkeypatch, most, expected):
    monkeypatch.setattr(module, "AT_ONCE", 7)
    images = some_images()
    normalize = Normalize.of(images, most)
    assert normalize.mean == pytest.approx(images[expected].mean() / 255, rel=1e-12)
    assert normalize.std == pytest.approx(images[expected].std() / 255, rel=1e-12)


@pytest.mark.parametrize(
    "normalize, images, error, message",
    [
        (Normalize.of, np.full((5, 4, 4), 7, np.uint8), ValueError, "all pixels of the training i"),
        (Normalize(0.1, 0.3), np.zeros((2, 4, 4)), TypeError, "are float64; expected raw uint8"),
        (
            Normalize([0.1, 0.2, 0.3], [0.3, 0.3, 0.3]),
            np.zeros((2, 4, 4), np.uint8),
            ValueError,
            "images have 1 channels, the mean has 3",
        ),
    ],
)
def test_refuses_images_that_cannot_be_normalised(normalize, images, error, message):
    with pytest.raises(error, match=message):
        normalize(images)


def test_refuses_more_means_than_stds():
    with pytest.raises(ValueError, match="mean and std must be finite, equally many"):
        Normalize([0.1, 0.2], [0.3])
