"""Augmentation: small random changes to an image that do not change what it shows."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Augmentation:
    """Shift, rotate, scale or mirror each image at random; what moves in from outside is zero.

    shift:    up to this many whole pixels along each axis
    rotation: up to this many degrees either way, about the middle of the image
    scale:    up to this much larger or smaller, as a share: 0.1 is from 0.9 to 1.1 times
    flip:     mirror left to right, every second image on average

    All changes make up one affine map, so an image is resampled once (bilinear). Shifts alone keep
    every pixel value. `draw` is separate from `apply` so that the random numbers of a batch do not
    depend on how it is cut into parts.

    Errors: ValueError for an amount out of range.
    """

    shift: int = 0
    rotation: float = 0.0
    scale: float = 0.0
    flip: bool = False

    CHANGES: ClassVar[str] = "shift=PIXELS, rotation=DEGREES, scale=SHARE, flip"

    @classmethod
    def of(cls, changes: Iterable[str]) -> "Augmentation":
        """Return the augmentation that a list such as ["shift=2", "flip"] says, as CHANGES has it.

        Errors: ValueError for anything else.
        """
        settings = {}
        for change in changes:
            name, _, value = change.partition("=")
            if change != "flip" and name not in ("shift", "rotation", "scale"):
                raise ValueError(f"{change!r} is none of {cls.CHANGES}")
            try:
                settings[name] = change == "flip" or float(value)
            except ValueError:
                raise ValueError(f"{change!r}: expected {name}=NUMBER") from None
        return cls(**settings)  # type: ignore[arg-type]  # a shift may be 2.0

    def __post_init__(self):
        if not (0 <= self.shift < 2**15 and self.shift == int(self.shift)):
            raise ValueError(f"shift is a number of pixels, 0 or more, got {self.shift!r}")
        if not 0 <= self.rotation <= 180:
            raise ValueError(f"rotation is from 0 to 180 degrees, got {self.rotation!r}")
        if not 0 <= self.scale < 1:
            raise ValueError(f"scale is a share, at least 0 and less than 1, got {self.scale!r}")

    def draw(
        self, rng: np.random.Generator, count: int, height: int, width: int
    ) -> NDArray[np.float64]:
        """Draw affine maps (count, 2, 3), one for each image."""
        angles = np.radians(rng.uniform(-self.rotation, self.rotation, count))
        sizes = rng.uniform(1 - self.scale, 1 + self.scale, count)
        mirror = np.where(rng.random(count) < 0.5, -1, 1) if self.flip else 1
        moves = rng.integers(-int(self.shift), int(self.shift) + 1, (count, 2))
        cos, sin = sizes * np.cos(angles), sizes * np.sin(angles)
        turn = np.array([[cos * mirror, -sin], [sin * mirror, cos]]).transpose(2, 0, 1)  # (B, 2, 2)
        middle = np.array([width - 1, height - 1]) / 2
        offset = middle - turn @ middle + moves  # (B, 2): turn about the middle, then move
        return np.concatenate([turn, offset[:, :, None]], axis=2)  # (B, 2, 3)

    def apply(self, images: NDArray[np.uint8], maps: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Change images (B, H, W) or (B, H, W, C) uint8 by maps (B, 2, 3); return a new array.

        Errors: TypeError for another type or shape, ValueError for more than four channels.
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
