"""Digits at the size of a model that was trained on larger images first."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .images import resize


class Resized:
    """Grey images (n, h, w) uint8 that are resized, and their grey repeated, when taken.

        images[3] -> (H, W, C)      images[[5, 2]], images[:2] -> (2, H, W, C)

    So memory holds the small ones, and a batch or two of the large. `images.resize` resizes them.
    """

    def __init__(self, grey: NDArray[np.uint8], height: int, width: int, channels: int):
        self.grey = grey
        self.shape, self.ndim = (len(grey), height, width, channels), 4

    def __len__(self) -> int:
        return len(self.grey)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, chosen: Any) -> NDArray[np.uint8]:
        grey, (H, W, C) = self.grey[chosen], self.shape[1:]
        images = np.empty((*grey.shape[:-2], H, W, C), np.uint8)
        for place in np.ndindex(images.shape[:-3]):
            larger = 255 * resize(grey[place].astype(np.float32) / 255, H, W)  # (H, W)
            images[place] = np.rint(larger)[..., None]  # (H, W, 1), repeated for each colour
        return images
