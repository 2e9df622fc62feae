import numpy as np
import pytest

from minivit.data.windows import windows


@pytest.mark.parametrize("shape", [(30, 40, 1), (8, 12, 3), (5, 100, 1), (9, 12, 1)])
def test_windows_cover_a_picture_and_overlap_by_half(shape):
    pixels = np.random.default_rng(0).integers(1, 256, shape).astype(np.uint8)
    views, places = windows(pixels, 8, 12)
    assert views.shape == (len(places), 8, 12, shape[2])
    covered = np.zeros((max(8, shape[0]), max(12, shape[1]), shape[2]), np.uint8)
    for view, (row, column) in zip(views, places, strict=True):
        covered[row : row + 8, column : column + 12] = view
    np.testing.assert_array_equal(covered[: shape[0], : shape[1]], pixels)
    assert covered.sum() == pixels.sum()  # the rest is black
    for axis, half in enumerate((4, 6)):
        steps = np.diff(np.unique(places[:, axis]))
        assert (steps <= half).all()


def test_a_picture_that_fits_is_one_window():
    _, places = windows(np.ones((8, 12, 1), np.uint8), 8, 12)
    assert places.tolist() == [[0, 0]]
