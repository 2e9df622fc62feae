"""From raw pixels to a model's input: normalised with the training images' mean and std."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 256  # images counted together


@dataclass(frozen=True)
class Normalize:
    """(pixels / 255 − mean) / std.

    mean, std: of the training images' pixels, as shares of 255: a number, or a list of one number
               for each channel

    Called with images (B, H, W) or (B, H, W, C) uint8, returns (B, H, W, C) float32, on the images'
    device. Errors: TypeError unless they are uint8, ValueError for another number of channels.
    """

    mean: float | list[float]
    std: float | list[float]

    def __post_init__(self):
        means, stds = self._lists()
        finite = all(math.isfinite(number) for number in [*means, *stds])
        if not (finite and all(std > 0 for std in stds) and len(means) == len(stds)):
            raise ValueError(
                "mean and std must be finite, equally many, and std greater than 0, got "
                f"{self.mean!r} and {self.std!r}"
            )

    @classmethod
    def of(cls, images: Any, most: int | None = None) -> "Normalize":
        """Measure mean and std on the training images, (n, H, W) or (n, H, W, C) uint8.

        most: measure on at most this many of them, spread evenly
        Errors: ValueError if all pixels are equal.
        """
        apart = math.ceil(len(images) / (most or len(images)))
        counts: Any = 0  # how often each channel has each of the 256 levels: (C, 256)
        for start in range(0, len(images), apart * AT_ONCE):
            some = images[start : start + apart * AT_ONCE : apart]
            channels = some.reshape(-1, some.shape[3] if some.ndim == 4 else 1).T
            counts += np.array([np.bincount(channel, minlength=256) for channel in channels])
        levels, total = np.arange(256), counts.sum(axis=1)
        mean = counts @ levels / total  # (C,)
        std = np.sqrt((counts * (levels - mean[:, None]) ** 2).sum(axis=1) / total)  # (C,)
        if not std.any():
            raise ValueError(
                "all pixels of the training images are equal; there is nothing to learn"
            )
        std[std == 0] = 255  # a channel without contrast stays 0
        mean, std = mean / 255, std / 255
        return cls(mean.item(), std.item()) if len(mean) == 1 else cls(mean.tolist(), std.tolist())

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if images.dtype != np.uint8:
            raise TypeError(f"images are {images.dtype}; expected raw uint8 pixels, from 0 to 255")
        pixels = images.astype(np.float32)
        pixels = pixels if images.ndim == 4 else pixels[..., None]  # (B, H, W, C)
        means, stds = self._lists()
        if len(means) not in (1, pixels.shape[3]):
            raise ValueError(f"images have {pixels.shape[3]} channels, the mean has {len(means)}")
        channels = [pixels] if len(means) == 1 else pixels.transpose(3, 0, 1, 2)  # (C, B, H, W)
        for channel, mean, std in zip(channels, means, stds, strict=True):  # views of pixels
            channel -= 255 * mean  # Python's numbers: an array would have to be sent to a GPU
            channel /= 255 * std
        return pixels

    def _lists(self):
        """Mean and std as lists."""
        return [x if isinstance(x, list) else [x] for x in (self.mean, self.std)]
