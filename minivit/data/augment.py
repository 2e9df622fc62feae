"""Augmentation: random changes to an image that do not change what it shows."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

POINTS = 5  # along each side of an image, which elastic warping moves
AREAS = 0.02, 0.33  # of an erased rectangle, as a share of the image
ASPECTS = 0.3, 1 / 0.3  # how many times as high as wide it is, on a square image


@dataclass(frozen=True)
class Augmentation:
    """Shift, turn, scale, mirror, warp or erase each image at random; what moves in is zero.

    shift:    up to this many whole pixels along each axis
    rotation: up to this many degrees either way, about the middle of the image
    scale:    up to this much larger or smaller, as a share: 0.1 is from 0.9 to 1.1 times
    flip:     mirror left to right, every second image on average
    elastic:  move each of 5 x 5 points by up to this many pixels along each axis, and what is
              between them smoothly along (after Simard et al. 2003, "Best practices for
              convolutional neural networks applied to visual document analysis")
    erase:    cover a rectangle with noise, in this share of the images: 0.5 is every second one on
              average (Zhong et al. 2020, "Random erasing data augmentation", arXiv:1708.04896,
              section 3; here the noise at a place is always the same)

    All moves make up one map, so an image is resampled once (bilinear). Shifts alone keep every
    pixel value. `draw` is separate from `apply` so that the random numbers of a batch do not
    depend on how it is cut into parts.

    Errors: ValueError for an amount out of range.
    """

    shift: int = 0
    rotation: float = 0.0
    scale: float = 0.0
    flip: bool = False
    elastic: float = 0.0
    erase: float = 0.0

    CHANGES: ClassVar[str] = (
        "shift=PIXELS, rotation=DEGREES, scale=SHARE, elastic=PIXELS, erase=SHARE, flip"
    )

    @classmethod
    def of(cls, changes: Iterable[str]) -> "Augmentation":
        """Return the augmentation that a list such as ["shift=2", "flip"] says, as CHANGES has it.

        Errors: ValueError for anything else.
        """
        settings = {}
        for change in changes:
            name, _, value = change.partition("=")
            known = ("shift", "rotation", "scale", "elastic", "erase")
            if change != "flip" and name not in known:
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
        if not 0 <= self.erase <= 1:
            raise ValueError(f"erase is a share, from 0 to 1, got {self.erase!r}")

    def draw(
        self, rng: np.random.Generator, count: int, height: int, width: int
    ) -> NDArray[np.float64]:
        """Draw affine maps (count, 2, 3), one for each image.

        With elastic warping 25 more columns say how far the points move, and with erasing two more
        what is erased: the rectangle's corners, the second one outside.
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
        if self.erase:
            parts.append(rectangles(rng, self.erase, count, np.array([width, height])))
        return np.concatenate(parts, axis=2)  # (B, 2, 3), (B, 2, 28), (B, 2, 5) or (B, 2, 30)

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
        changed = np.empty_like(images)
        if self.elastic:
            for image, (x, y), out in zip(images, sources(maps, H, W), changed, strict=True):
                cv2.remap(image, x, y, cv2.INTER_LINEAR, dst=out)
        else:
            for image, matrix, out in zip(images, maps[:, :, :3], changed, strict=True):
                cv2.warpAffine(image, matrix, (W, H), dst=out, flags=cv2.INTER_LINEAR)
        if self.erase:
            noise = np.random.default_rng(0).integers(0, 256, images.shape[1:], np.uint8)
            for image, corners in zip(changed, maps[:, :, -2:].astype(int), strict=True):
                place = tuple(slice(*ends) for ends in corners[::-1])  # rows, columns
                image[place] = noise[place]
        return changed

    def changed(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Change one image (H, W) or (H, W, C) at random; errors as in `apply`."""
        return self.apply(image[None], self.draw(rng, 1, *image.shape[:2]))[0]


def rectangles(rng, share, count, size):
    """Draw what is erased of images of a size [W, H]: corners (count, 2, 2), x and y, from and to.

    Where nothing is erased, both corners are the same.
    """
    areas = rng.uniform(*AREAS, count)
    aspects = np.exp(rng.uniform(*np.log(ASPECTS), count))
    sides = np.sqrt([areas / aspects, areas * aspects]).T  # (B, 2) as shares of the image's
    sides = np.clip(np.rint(sides * size), 1, size)
    corners = np.floor(rng.random((count, 2)) * (size - sides + 1))
    sides[rng.random(count) >= share] = 0
    return np.stack([corners, corners + sides], axis=2)


def sources(maps, height, width):
    """Where each pixel comes from: x and y (B, 2, H, W) float32, of maps (B, 2, 28 or more).

    An affine map says where a pixel goes, so its inverse where one comes from; there the image is
    warped. All of it is a weighted sum of 28 pictures.
    """
    back = np.linalg.inv(maps[:, :, :2])
    weights = np.concatenate([back, -back @ maps[:, :, 2:3], maps[:, :, 3 : 3 + POINTS**2]], axis=2)
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
