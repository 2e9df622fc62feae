"""Strips: a few handwritten digits in a row, or a sum of two numbers, and the text to read.

A strip is drawn, not stored: number i of a seed is the same whenever it is asked for (scenes.py).
"""

from __future__ import annotations  # so that no annotation loads np.random

import functools
import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .digits import Split
from .scans import Scan, ink_of_digits
from .scenes import RECENT, ink_alone, resized

HEIGHT, WIDTH = 28, 160  # pixels of a strip
MARGIN = 2  # pixels at each side of a strip without ink
MOST = 8  # digits that there is room for
INK = 20  # pixels of the longer side of one of MNIST's digits
LONGER = (17, 23)  # of that side in a strip, one size for all of its digits, …
STRETCH = 1.1  # … each of them up to so many times larger or smaller
SLANT = 0.3  # how far a strip leans to either side, in pixels a pixel of height
RISE = 0.05  # how far its line rises or falls, likewise
GAPS = (0, 8)  # pixels between two digits: each strip has a mean gap between these, …
UNEVEN = 1.5  # … from which its gaps differ by so many
TURN, SHEAR, WIDER = 0.15, 0.2, 1.15  # in a varied strip, of each digit: radians, and as above
REACH = 28  # pixels to each side of a digit's middle that hold all of its ink
THICK = (1.6, 3.2)  # of a plus sign's strokes, in pixels of MNIST's digits
SIGN = (8, 14)  # of a plus sign's sides, likewise
SUMMANDS = (10, 99)


class Strip(NamedTuple):
    """An image (H, W, 1) uint8, light on black, and what is written there, such as "37+58"."""

    image: NDArray[np.uint8]
    text: str


class Strips:
    """`count` strips, drawn when they are taken.

        strips = Strips(load_digits().train, 1000)
        image, text = strips[3]

    digits: a Split of single digits (n, 28, 28)
    count:  how many strips there are
    fewest, most: digits of a strip, between these, each number as often as another
    sums:   whether a strip is a sum of two numbers of two digits instead, "37+58"
    varied: for strips to learn from: each digit is also turned, slanted and stretched by itself,
            so that none is ever seen twice, and long texts, which teach more, come more often
    seed:   strip i comes from default_rng([seed, i])

    All digits of a strip lean the same way; their sizes and gaps differ a little. A line that is
    too long for the strip is written smaller. Errors: ValueError for numbers that cannot work.
    """

    def __init__(
        self,
        digits: Split,
        count: int,
        *,
        fewest: int = 1,
        most: int = MOST,
        sums: bool = False,
        varied: bool = False,
        seed: int = 0,
    ) -> None:
        for name, number in dict(count=count, fewest=fewest, most=most).items():
            if not isinstance(number, (int, np.integer)) or number < 1:
                raise ValueError(f"Strips: {name} must be an integer, at least 1, got {number!r}")
        if not fewest <= most <= MOST:
            raise ValueError(
                f"Strips: from {fewest} to {most} digits; expected the fewer first, and {MOST} at "
                "most"
            )
        self.digits, self.count, self.seed = digits, count, seed
        self.fewest, self.most, self.sums = fewest, most, bool(sums)
        self.varied = bool(varied)
        self.having = [np.flatnonzero(digits.labels == digit) for digit in range(10)]
        if empty := [digit for digit, places in enumerate(self.having) if len(places) == 0]:
            raise ValueError(f"Strips: there is no image of the digit {empty[0]}")
        self.draw = functools.lru_cache(RECENT)(self._draw)

    def __len__(self) -> int:
        return self.count

    def checksum(self) -> str:
        """Return the SHA-256 sum, in hex, of the digits and of all that decides on the strips."""
        settings = self.count, self.fewest, self.most, self.sums, self.varied, self.seed
        total = hashlib.sha256(repr(settings).encode())
        for array in self.digits:
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()

    def __getitem__(self, number: int) -> Strip:
        if not 0 <= number < self.count:
            raise IndexError(f"there is no strip {number}, only 0 to {self.count - 1}")
        return self.draw(int(number))

    def __iter__(self) -> Iterator[Strip]:
        return (self[number] for number in range(self.count))

    def _draw(self, number):
        rng = np.random.default_rng([self.seed, number])
        text = self._text(rng)
        glyphs = [self._glyph(character, rng) for character in text]
        return Strip(written(glyphs, rng, self.varied)[:, :, None], text)

    def _text(self, rng):
        if self.sums:
            return "{}+{}".format(*rng.integers(SUMMANDS[0], SUMMANDS[1] + 1, 2))
        counts = rng.integers(self.fewest, self.most + 1, 2)
        figures = rng.integers(0, 10, counts.max() if self.varied else counts[0])
        return "".join(map(str, figures))

    def _glyph(self, character, rng):
        """The ink of a character (h, w) uint8, as large as MNIST's digits are."""
        if character == "+":
            return plus_sign(rng)
        places = self.having[int(character)]
        return ink_alone(self.digits.images[places[rng.integers(len(places))]])


def written(glyphs: list[NDArray[np.uint8]], rng: Any, varied: bool = False) -> NDArray[np.uint8]:
    """Return a strip (H, W) of glyphs (h, w), side by side, spaced and slanted at random."""
    scale, slant, rise = rng.uniform(*LONGER) / INK, rng.uniform(-SLANT, SLANT), RISE
    rise *= rng.uniform(-1, 1)
    scales = scale * STRETCH ** rng.uniform(-1, 1, len(glyphs))
    gaps = rng.uniform(*GAPS) + rng.uniform(-UNEVEN, UNEVEN, len(glyphs))
    shapes = np.array([glyph.shape for glyph in glyphs])
    heights, widths = scales * shapes[:, 0], scales * shapes[:, 1]
    ends = np.cumsum(widths + gaps) - gaps  # without the last gap
    lean = abs(slant) * heights.max()
    free = WIDTH - 2 * MARGIN
    smaller = min(1, free / (ends.max() + lean), (HEIGHT - 2 * MARGIN) / heights.max())
    scales, heights, ends, lean = (each * smaller for each in (scales, heights, ends, lean))
    middles = ends - smaller * widths / 2 + lean / 2  # from the left end of the line
    middles += MARGIN + rng.uniform() * (free - ends.max() - lean)
    room = (HEIGHT - heights) / 2 - MARGIN
    rows = rise * (middles - middles.mean()) + rng.uniform(-1, 1) * room.min()
    rows = HEIGHT / 2 + (rows + rng.uniform(-1, 1, len(glyphs))).clip(-room, room)
    forms = scales[:, None, None] * np.array([[1, -slant], [0, 1]])  # (n, 2, 2)
    if varied:
        forms = forms @ variations(len(glyphs), rng)
    return placed(glyphs, forms, middles, rows)


def variations(count: int, rng: Any) -> NDArray[np.float64]:
    """Return maps (count, 2, 2), each of which turns, slants and stretches a little."""
    turn, shear = rng.uniform(-TURN, TURN, count), rng.uniform(-SHEAR, SHEAR, count)
    wider = WIDER ** rng.uniform(-1, 1, count)
    cos, sin, none, one = np.cos(turn), np.sin(turn), np.zeros(count), np.ones(count)
    turned, slanted, stretched = (
        np.stack(entries, axis=1).reshape(count, 2, 2)
        for entries in ([cos, -sin, sin, cos], [one, shear, none, one], [wider, none, none, one])
    )
    return turned @ slanted @ stretched


def placed(glyphs: Any, forms: Any, columns: Any, rows: Any) -> NDArray[np.uint8]:
    """Return a strip (H, W) of glyphs (h, w), whose middles are at those columns and rows (n,).

    forms: (n, 2, 2), whose columns are a step to the right and a step down
    """
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    inside = np.array([glyph.shape[::-1] for glyph in glyphs]) / 2 - 0.5  # (n, 2), the middles
    offsets = np.stack([columns, rows], axis=1) - 0.5 - (forms @ inside[:, :, None])[:, :, 0]
    lefts = (columns - REACH).clip(0, WIDTH - 2 * REACH).astype(int)  # of the part that it is in
    offsets[:, 0] -= lefts
    matrices = np.concatenate([forms, offsets[:, :, None]], axis=2)  # (n, 2, 3)
    for glyph, matrix, left in zip(glyphs, matrices, lefts.tolist(), strict=True):
        part = image[:, left : left + 2 * REACH]
        ink = cv2.warpAffine(glyph, matrix, (2 * REACH, HEIGHT), flags=cv2.INTER_LINEAR)
        np.maximum(part, ink, out=part)
    return image


def plus_sign(rng: Any) -> NDArray[np.uint8]:
    """Return a plus sign (h, w), as if written by hand, as large as beside MNIST's digits."""
    width, height = rng.uniform(*SIGN, 2)
    thickness = rng.uniform(*THICK)
    middle = np.array([INK, INK]) / 2 - 0.5
    tips = np.array([[-width / 2, 0], [width / 2, 0], [0, -height / 2], [0, height / 2]])
    tips = middle + tips + rng.uniform(-1, 1, (4, 2))
    large = 4  # times, so that a stroke may have any thickness
    sign = np.zeros((INK * large, INK * large), np.uint8)
    for start, end in ((0, 1), (2, 3)):
        one, other = (np.rint(tips[tip] * large).astype(int).tolist() for tip in (start, end))
        cv2.line(sign, one, other, 255, max(1, round(thickness * large)), cv2.LINE_AA)
    return ink_alone(resized(sign, INK, INK))


def answer(text: str) -> str:
    """Return the answer of a sum: "95" of "37+58"."""
    return str(sum(map(int, text.split("+"))))


def strip_of_photo(image: NDArray[np.float32], height: int, width: int) -> Scan:
    """Find a line of digits in a picture (H, W, 3), RGB in [0, 1], and draw it as a strip.

    The ink is found as by `ink_of_digits`, cut out, made to fit, and placed in the middle. Returns
    pixels (height, width, 1) uint8, and warnings.
    """
    pixels, warnings = ink_of_digits(image, round(sum(LONGER) / 2))
    line = ink_alone(pixels[:, :, 0])
    scale = min(1, (height - 2 * MARGIN) / line.shape[0], (width - 2 * MARGIN) / line.shape[1])
    line = resized(line, *(max(1, round(scale * side)) for side in line.shape))
    top, left = (height - line.shape[0]) // 2, (width - line.shape[1]) // 2
    strip = np.zeros((height, width, 1), np.uint8)
    strip[top : top + line.shape[0], left : left + line.shape[1], 0] = line
    return Scan(strip, warnings)
