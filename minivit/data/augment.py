"""Augmentation: small random changes to an image that do not change what it shows."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

POINTS = 5  # along each side of an image, which elastic warping moves


@dataclass(frozen=True)
class Augmentation:
    """Shift, turn, scale, mirror or warp each image at random; what moves in from outside is zero.

    shift:    up to this many whole pixels along each axis
    rotation: up to this many degrees either way, about the middle of the image
    scale:    up to this much larger or smaller, as a share: 0.1 is from 0.9 to 1.1 times
    flip:     mirror left to right, every second image on average
    elastic:  move each of 5 x 5 points by up to this many pixels along each axis, and what is
              between them smoothly along (after Simard et al. 2003, "Best practices for
              convolutional neural networks applied to visual document analysis")

    All changes make up one map, so an image is resampled once (bilinear). Shifts alone keep every
    pixel value. `draw` is separate from `apply` so that the random numbers of a batch do not
    depend on how it is cut into parts.

    Errors: ValueError for an amount out of range.
    """

    shift: int = 0
    rotation: float = 0.0
    scale: float = 0.0
    flip: bool = False
    elastic: float = 0.0

    CHANGES: ClassVar[str] = "shift=PIXELS, rotation=DEGREES, scale=SHARE, elastic=PIXELS, flip"

    @classmethod
    def of(cls, changes: Iterable[str]) -> "Augmentation":
        """Return the augmentation that a list such as ["shift=2", "flip"] says, as CHANGES has it.

        Errors: ValueError for anything else.
        """
        settings = {}
        for change in changes:
            name, _, value = change.partition("=")
            if change != "flip" and name not in ("shift", "rotation", "scale", "elastic"):
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
        if not 0 <= self.elastic < 2**15:
            raise ValueError(f"elastic is a number of pixels, 0 or more, got {self.elastic!r}")

    def draw(
        self, rng: np.random.Generator, count: int, height: int, width: int
    ) -> NDArray[np.float64]:
        """Draw affine maps (count, 2, 3), one for each image.

        With elastic warping (count, 2, 3 + 25): from the fourth on, how far the points move.
        """
        angles = np.radians(rng.uniform(-self.rotation, self.rotation, count))
        sizes = rng.uniform(1 - self.scale, 1 + self.scale, count)
        mirror = np.where(rng.random(count) < 0.5, -1, 1) if self.flip else 1
        moves = rng.integers(-int(self.shift), int(self.shift) + 1, (count, 2))
        cos, sin = sizes * np.cos(angles), sizes * np.sin(angles)
        turn = np.array([[cos * mirror, -sin], [sin * mirror, cos]]).transpose(2, 0, 1)  # (B, 2, 2)
        middle = np.array([width - 1, height - 1]) / 2
        offset = middle - turn @ middle + moves  # (B, 2): turn about the middle, then move
        parts = [turn, offset[:, :, None]]
        if self.elastic:
            parts.append(rng.uniform(-self.elastic, self.elastic, (count, 2, POINTS**2)))
        return np.concatenate(parts, axis=2)  # (B, 2, 3) or (B, 2, 28)

    def apply(self, images: NDArray[np.uint8], maps: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Change images (B, H, W) or (B, H, W, C) uint8 by maps of `draw`; return a new array.

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
        if maps.shape[2] > 3:
            for image, (x, y), out in zip(images, sources(maps, H, W), warped, strict=True):
                cv2.remap(image, x, y, cv2.INTER_LINEAR, dst=out)
            return warped
        for image, matrix, out in zip(images, maps, warped, strict=True):
            cv2.warpAffine(image, matrix, (W, H), dst=out, flags=cv2.INTER_LINEAR)
        return warped

    def changed(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Change one image (H, W) or (H, W, C) at random; errors as in `apply`."""
        return self.apply(image[None], self.draw(rng, 1, *image.shape[:2]))[0]


def sources(maps, height, width):
    """Where each pixel comes from: x and y (B, 2, H, W) float32, of maps (B, 2, 28).

    An affine map says where a pixel goes, so its inverse where one comes from; there the image is
    warped. All of it is a weighted sum of 28 pictures.
    """
    back = np.linalg.inv(maps[:, :, :2])
    weights = np.concatenate([back, -back @ maps[:, :, 2:3], maps[:, :, 3:]], axis=2)
    places = weights.astype(np.float32) @ pictures(height, width)  # (B, 2, H·W)
    return places.reshape(-1, 2, height, width)


@functools.cache
def pictures(height, width):
    """(28, H·W) float32: x, y, ones, and for each point how much its surroundings move along."""
    rows, columns = np.mgrid[:height, :width]
    points = np.eye(POINTS**2, dtype=np.float32).reshape(-1, POINTS, POINTS)
    around = [cv2.resize(point, (width, height), interpolation=cv2.INTER_CUBIC) for point in points]
    all_of_them = np.stack([columns, rows, np.ones((height, width)), *around])
    return all_of_them.reshape(-1, height * width).astype(np.float32)
