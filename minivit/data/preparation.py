"""From raw pixels to what the model reads; saved with a run, whose model reads nothing else."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Preparation:
    """Normalise: (pixels / 255 − mean) / std.

    mean, std: of the training images' pixels, as shares of 255

    Called with images (B, H, W) or (B, H, W, C) uint8, returns (B, H, W, C) float32.
    """

    mean: float
    std: float

    def __post_init__(self):
        if not (math.isfinite(self.mean) and 0 < self.std < math.inf):
            raise ValueError(
                "the preparation's mean and std must be finite, and std greater than 0, got "
                f"{self.mean!r} and {self.std!r}"
            )

    @classmethod
    def of(cls, images):
        """Measure mean and std on the training images (n, H, W), uint8."""
        mean, std = float(images.mean() / 255), float(images.std() / 255)
        if not std > 0:
            raise ValueError(
                "all pixels of the training images are equal; there is nothing to learn"
            )
        return cls(mean, std)

    def __call__(self, images):
        if images.dtype != np.uint8:
            raise TypeError(
                f"images are {images.dtype}; expected the raw uint8 pixels, from 0 to 255"
            )
        pixels = images.astype(np.float32)
        pixels -= 255 * self.mean
        pixels /= 255 * self.std
        return pixels if images.ndim == 4 else pixels[..., None]  # (B, H, W, C)
