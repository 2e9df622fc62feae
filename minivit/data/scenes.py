"""Scenes: canvases with several digits of any size, and the box and class of each.

A scene is drawn, not stored: number i of a seed is the same whenever it is asked for, so a training
set may have more scenes than memory holds.
"""

from __future__ import annotations  # so that no annotation loads np.random

import functools
import hashlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .digits import Split

TRIES = 50  # places for a digit, and drawings of a scene in which one finds none
STRETCH = 1.2  # a digit is up to so many times wider, or taller, than it was written
RECENT = 1024  # scenes in memory, as their objects are asked for right after their images


class Scene(NamedTuple):
    """An image (H, W, 1) uint8, light on black, and its objects (M, 5) float32.

    An object is its class and its box, (class, left, top, right, bottom), in pixels from the upper
    left corner of the image; pixel 0 reaches from 0 to 1.
    """

    image: NDArray[np.uint8]
    objects: NDArray[np.float32]


class Scenes:
    """`count` scenes of digits, drawn when they are taken.

        scenes = Scenes(load_digits().train, 1000, most=4)
        image, objects = scenes[3]

    digits:  a Split of single digits (n, H, W); the box of each is that of its ink
    count:   how many scenes there are
    size:    pixels of a scene, one number for a square or (height, width)
    fewest, most: digits of a scene, between these, each number as often as another
    sides:   pixels of a digit's longer side, between these
    overlap: of two boxes, at most this share of the smaller one lies in the other
    seed:    scene i comes from default_rng([seed, i])

    Digits are stretched by up to a fifth, and keep their ink where they cross: the lighter of two
    pixels is seen. Errors: ValueError or TypeError for numbers that cannot work.
    """

    def __init__(
        self,
        digits: Split,
        count: int,
        *,
        size: Any = 96,
        fewest: int = 1,
        most: int = 4,
        sides: tuple[int, int] = (16, 48),
        overlap: float = 0.25,
        seed: int = 0,
    ) -> None:
        height, width = size if isinstance(size, (tuple, list)) else (size, size)
        low, high = sides
        counts = dict(count=count, height=height, width=width, fewest=fewest, most=most, sides=low)
        for name, number in counts.items():
            if not isinstance(number, (int, np.integer)) or number < 1:
                raise ValueError(f"Scenes: {name} must be an integer, at least 1, got {number!r}")
        if fewest > most:
            raise ValueError(f"Scenes: from {fewest} to {most} digits; expected the fewer first")
        if not low <= high <= min(height, width):
            raise ValueError(
                f"Scenes: digits of {low} to {high} pixels in scenes of {height} x {width}; "
                "expected the smaller first, and both to fit"
            )
        if not 0 <= overlap < 1:
            raise ValueError(f"Scenes: overlap is at least 0 and less than 1, got {overlap!r}")
        self.digits, self.count, self.seed = digits, count, seed
        self.height, self.width = height, width
        self.fewest, self.most, self.sides, self.overlap = fewest, most, (low, high), overlap
        self.draw = functools.lru_cache(RECENT)(self._draw)

    def __len__(self) -> int:
        return self.count

    def checksum(self) -> str:
        """Return the SHA-256 sum, in hex, of the digits and of all that decides on the scenes."""
        settings = self.count, self.height, self.width, self.fewest, self.most
        total = hashlib.sha256(repr((*settings, self.sides, self.overlap, self.seed)).encode())
        for array in self.digits:
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()

    def __getitem__(self, number: int) -> Scene:
        if not 0 <= number < self.count:
            raise IndexError(f"there is no scene {number}, only 0 to {self.count - 1}")
        return self.draw(int(number))

    def __iter__(self) -> Iterator[Scene]:
        return (self[number] for number in range(self.count))

    def _draw(self, number):
        """Scene `number`, drawn anew until each digit has found a place."""
        rng = np.random.default_rng([self.seed, number])
        wanted = int(rng.integers(self.fewest, self.most + 1))
        for _ in range(TRIES):
            image = np.zeros((self.height, self.width), np.uint8)
            objects = []
            while len(objects) < wanted and self._add(image, objects, rng):
                pass
            if len(objects) == wanted:
                return Scene(image[:, :, None], np.array(objects, np.float32))
        raise ValueError(
            f"Scenes: {wanted} digits of {self.sides[0]} to {self.sides[1]} pixels find no place "
            f"in {self.height} x {self.width} with an overlap of {self.overlap}; draw fewer, or "
            "smaller"
        )

    def _add(self, image, objects, rng):
        """Draw one more digit; return whether there was a place for it."""
        which = int(rng.integers(len(self.digits.labels)))
        digit = ink_alone(self.digits.images[which])
        height, width = self._size(*digit.shape, rng)
        room = [self.width - width + 1, self.height - height + 1]
        corners = rng.integers(room, size=(TRIES, 2))  # left, top
        for left, top in corners.tolist():
            box = [left, top, left + width, top + height]
            if all(shared(box, other[1:]) <= self.overlap for other in objects):
                part = image[top : top + height, left : left + width]  # a view
                np.maximum(part, resized(digit, height, width), out=part)
                objects.append([self.digits.labels[which], *box])
                return True
        return False

    def _size(self, height, width, rng):
        """Height and width that a digit of that size is drawn with."""
        stretched = width * STRETCH ** rng.uniform(-1, 1)
        scale = rng.uniform(*self.sides) / max(height, stretched)
        return [max(1, round(side * scale)) for side in (height, stretched)]


class Column:
    """One part of each of many scenes, in the place of an array that holds all of them.

        images = Column(scenes, lambda scene: scene.image)      images[[5, 2]] -> (2, H, W, 1)

    checksum: a text that differs if the scenes do
    """

    def __init__(self, scenes: Scenes, part: Callable[[Scene], NDArray[Any]]) -> None:
        self.scenes, self.part = scenes, part
        first = part(scenes[0])
        self.shape, self.ndim = (len(scenes), *first.shape), 1 + first.ndim
        self.checksum = scenes.checksum()

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, chosen: Any) -> NDArray[Any]:
        numbers = np.arange(len(self))[chosen]
        if numbers.ndim == 0:
            return self.part(self.scenes[int(numbers)])
        return np.stack([self.part(self.scenes[number]) for number in numbers.tolist()])


def shared(one: list[float], other: list[float]) -> float:
    """Return what share of the smaller one of two boxes both cover."""
    width = max(0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / min(areas)


def resized(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return pixels (H, W) at another size: averaged if it is smaller, or else bilinear."""
    smaller = height * width < pixels.size
    kind = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=kind), np.uint8)


def ink_alone(digit: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the part of a digit (H, W) within the box of its ink; all of it if there is none."""
    left, top, width, height = cv2.boundingRect(digit)
    return digit[top : top + height, left : left + width] if width else digit
