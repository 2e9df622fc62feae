"""A picture of any proportions inside an image of a fixed size, with nothing cut off."""

import numpy as np
from numpy.typing import NDArray

from .images import resize


def contain(image: NDArray[np.float32], height: int, width: int) -> tuple[NDArray[np.uint8], float]:
    """Return pixels (height, width, C) uint8 that hold all of an image (H, W, C), and its scale.

    The image, float in [0, 1], is resized by one scale to the largest size that fits, and lies in
    the upper left corner; the rest is black. A box in it is `scale` times the box in the image, up
    to the rounding of the size. Errors: those of `resize`.
    """
    H, W, C = image.shape
    scale = min(height / H, width / W)
    rows, columns = (max(1, round(side * scale)) for side in (H, W))
    pixels = np.zeros((height, width, C), np.uint8)
    pixels[:rows, :columns] = np.rint(255 * resize(image, rows, columns))
    return pixels, scale
