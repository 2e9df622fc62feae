"""A picture of any size as windows of one size, which overlap by half."""

import math

import numpy as np
from numpy.typing import NDArray


def windows(
    pixels: NDArray[np.uint8], height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return windows (n, height, width, C) on pixels (H, W, C), and where they are, (n, 2).

    Their places are those of their upper left corners, row and column. What is at most half as
    large as a window lies in one of them whole. A picture that is smaller is padded with black.
    """
    H, W, C = pixels.shape
    padded = np.zeros((max(H, height), max(W, width), C), np.uint8)
    padded[:H, :W] = pixels
    rows, columns = (
        np.linspace(0, whole - part, 1 + math.ceil(2 * (whole - part) / part)).astype(int)
        for whole, part in zip(padded.shape, (height, width), strict=False)
    )
    places = np.array([(row, column) for row in rows for column in columns])
    views = [padded[row : row + height, column : column + width] for row, column in places]
    return np.stack(views), places
