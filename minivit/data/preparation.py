"""From raw pixels to what the model reads; saved with a run, whose model reads nothing else."""

from dataclasses import dataclass

import numpy as np

from .augment import random_shift


@dataclass(frozen=True)
class Preparation:
    """Shift (while training), then normalise: (pixels / 255 − mean) / std.

    mean, std: of the training images' pixels, as shares of 255
    shift:     pixels that an image may move in each direction while training

    Called with images (B, H, W) or (B, H, W, C) uint8, returns (B, H, W, C) float32; the shifts are
    drawn from `rng`, and None, as for evaluation, means no shift.
    """

    mean: float
    std: float
    shift: int = 0

    @classmethod
    def of(cls, images, shift=0):
        """Measure mean and std on the training images (n, H, W), uint8."""
        mean, std = float(images.mean() / 255), float(images.std() / 255)
        if not std > 0:
            raise ValueError(
                "all pixels of the training images are equal; there is nothing to learn"
            )
        return cls(mean, std, shift)

    def __call__(self, images, rng=None):
        if images.dtype != np.uint8:
            raise TypeError(
                f"images are {images.dtype}; expected the raw uint8 pixels, from 0 to 255"
            )
        if rng is not None and self.shift:
            images = random_shift(images, self.shift, rng)
        pixels = images.astype(np.float32)
        pixels -= 255 * self.mean
        pixels /= 255 * self.std
        return pixels if images.ndim == 4 else pixels[..., None]  # (B, H, W, C)
