"""Augmentation: small changes that leave the meaning of an image as it is."""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np


@dataclass(frozen=True)
class Augmentation:
    """Move, turn, grow or mirror each image by its own random amount; what comes in is zero.

    shift:    whole pixels, up to so many each way
    rotation: degrees, up to so many each way, about the middle of the image
    scale:    share of the size, up to so much larger or smaller: 0.1 is from 0.9 to 1.1 times
    flip:     mirror every second image, on average, left to right

    Whatever is asked for is one affine map, and an image is resampled once (bilinear); shifts alone
    keep every pixel value. `draw` is apart from `apply`, so that what a batch draws does not depend
    on the parts in which it is changed.

    Errors: ValueError for an amount that makes no sense.
    """

    shift: int = 0
    rotation: float = 0.0
    scale: float = 0.0
    flip: bool = False

    CHANGES: ClassVar = "shift=PIXELS, rotation=DEGREES, scale=SHARE, flip"

    @classmethod
    def of(cls, changes):
        """The augmentation that is written as a list of CHANGES: ["shift=2", "flip"]."""
        settings = {}
        for change in changes:
            name, _, value = change.partition("=")
            if change != "flip" and name not in ("shift", "rotation", "scale"):
                raise ValueError(f"{change!r} is none of {cls.CHANGES}")
            try:
                settings[name] = change == "flip" or float(value)
            except ValueError:
                raise ValueError(f"{change!r}: expected {name}=NUMBER") from None
        return cls(**settings)

    def __post_init__(self):
        if not (0 <= self.shift < 2**15 and self.shift == int(self.shift)):
            raise ValueError(f"shift is a number of pixels, 0 or more, got {self.shift!r}")
        if not 0 <= self.rotation <= 180:
            raise ValueError(f"rotation is from 0 to 180 degrees, got {self.rotation!r}")
        if not 0 <= self.scale < 1:
            raise ValueError(f"scale is a share, at least 0 and less than 1, got {self.scale!r}")

    def draw(self, rng, count, height, width):
        """Return affine maps (count, 2, 3), one for each image, drawn from a generator."""
        angles = np.radians(rng.uniform(-self.rotation, self.rotation, count))
        sizes = rng.uniform(1 - self.scale, 1 + self.scale, count)
        mirror = np.where(rng.random(count) < 0.5, -1, 1) if self.flip else 1
        moves = rng.integers(-int(self.shift), int(self.shift) + 1, (count, 2))
        cos, sin = sizes * np.cos(angles), sizes * np.sin(angles)
        turn = np.array([[cos * mirror, -sin], [sin * mirror, cos]]).transpose(2, 0, 1)  # (B, 2, 2)
        middle = np.array([width - 1, height - 1]) / 2
        offset = middle - turn @ middle + moves  # (B, 2): turn about the middle, then move
        return np.concatenate([turn, offset[:, :, None]], axis=2)  # (B, 2, 3)

    def apply(self, images, maps):
        """Change images (B, H, W) or (B, H, W, C) uint8 by maps (B, 2, 3); return a new array.

        Errors: TypeError for other images, ValueError for more than four channels.
        """
        if images.dtype != np.uint8 or images.ndim not in (3, 4):
            raise TypeError(
                f"images are {images.dtype} {images.shape}; expected uint8 (B, H, W) or "
                "(B, H, W, C)"
            )
        if images.ndim == 4 and images.shape[3] > 4:
            raise ValueError(f"OpenCV warps up to 4 channels, got {images.shape[3]}")
        _, H, W = images.shape[:3]
        warped = np.empty_like(images)
        for image, matrix, out in zip(images, maps, warped, strict=True):
            cv2.warpAffine(image, matrix, (W, H), dst=out, flags=cv2.INTER_LINEAR)
        return warped
