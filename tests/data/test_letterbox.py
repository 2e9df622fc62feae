import numpy as np
import pytest

from minivit.data.letterbox import contain


@pytest.mark.parametrize("shape, inside", [((20, 40, 3), (30, 60)), ((50, 10, 1), (60, 12))])
def test_a_picture_is_held_whole_in_the_corner(shape, inside):
    pixels, scale = contain(np.ones(shape, np.float32), 60, 60)
    assert (pixels.shape, pixels.dtype) == ((60, 60, shape[2]), np.uint8)
    assert scale == pytest.approx(inside[0] / shape[0])
    assert (pixels[: inside[0], : inside[1]] == 255).all()
    assert pixels.sum() == 255 * inside[0] * inside[1] * shape[2]


def test_a_box_moves_with_the_scale():
    picture = np.zeros((40, 80, 1), np.float32)
    picture[8:16, 20:60] = 1
    pixels, scale = contain(picture, 30, 40)
    rows, columns = (
        np.flatnonzero(pixels.any(axis=(1, 2))),
        np.flatnonzero(pixels.any(axis=0)[:, 0]),
    )
    assert scale == 0.5
    assert [rows[0], rows[-1] + 1, columns[0], columns[-1] + 1] == [4, 8, 10, 30]
