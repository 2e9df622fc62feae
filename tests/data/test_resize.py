import numpy as np
import pytest

from minivit.data.resize import resize


def test_an_axis_that_shrinks_is_averaged():
    image = np.random.default_rng(0).random((12, 20, 3), np.float32)
    smaller = resize(image, 4, 5)
    expected = image.reshape(4, 3, 5, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(smaller, expected, atol=1e-6)
    grey = resize(image[:, :, 0], 4, 5)
    np.testing.assert_allclose(grey, expected[:, :, 0], atol=1e-6)


def test_an_axis_that_grows_is_smooth_and_stays_in_range():
    step = np.repeat(np.float32([0, 1]), 4)[None].repeat(8, axis=0)
    wider = resize(step, 4, 24)
    assert wider.shape == (4, 24)
    assert (wider.min(), wider.max()) == (0, 1)  # no overshoot is left
    assert len(np.unique(wider[0, 9:15])) >= 4
    assert resize(step[:, :, None], 3, 9).shape == (3, 9, 1)
    np.testing.assert_array_equal(resize(step, 8, 8), step)


def test_a_size_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1, got 0 x 3"):
        resize(np.zeros((4, 4), np.float32), 0, 3)


def test_a_size_beyond_the_limit_is_refused_and_not_tried():
    resize(np.zeros((4, 4), np.float32), 1, 2**15)
    with pytest.raises(ValueError, match="at most 33,554,432 pixels, got 4096 x 8193"):
        resize(np.zeros((4, 4), np.float32), 4096, 8193)
