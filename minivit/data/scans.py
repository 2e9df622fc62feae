"""From a photo or scan of a digit to an image like MNIST's (LeCun et al. 1998, section III.A)."""

import functools
from os import PathLike
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .digits import load_digits
from .images import load_image, resize

SIDE, BOX, MIDDLE = 28, 20, 14  # MNIST's image, the box of its digit, and its centre of mass
WORKING_SIDE = 400  # pixels of the longer side, at most; a digit needs no more
PAPER_SIDE = 64  # enough to see how the light falls
FAINTEST = 0.08  # less contrast than this is not ink; black to white is 1
SPECK = 0.05  # of the largest piece: anything smaller is dirt
THINNEST = 2.2  # pixels of a stroke in the box; the median of MNIST's is 2.4
MOST_PIECES = 2
MOST_ZOOM = 3  # of a picture with many digits
LEAST_INSIDE = 0.05  # of the largest piece: an inner piece this large rules out those at the edge
LEAST_COVER = 0.12  # of its box that a digit fills
KNOWN = 10_000  # of MNIST's training digits, to compare with
BLUR = 1.5  # pixels; a stroke may lie beside another and still match
LEAST_ALIKE = 0.915  # 1 % of the digits that are not among the known ones fall below


class Scan(NamedTuple):
    """Ink as MNIST draws it, uint8, light on black; and why it may mislead.

    A single digit is (28, 28, 1).
    """

    pixels: NDArray[np.uint8]
    warnings: list[str]


def read_digit(source: str | PathLike[str]) -> Scan:
    """Read a picture of a digit from a path or URL; errors are those of `load_image`."""
    return scan_digit(load_image(source))


def scan_digit(image: NDArray[np.float32]) -> Scan:
    """Find the digit in a picture (H, W, 3), RGB in [0, 1], and draw it as MNIST does.

    1. Paper. A surface of second degree is fitted to the grey values, repeatedly, each time without
       what lies far from it. Subtracting it leaves the paper at 0 everywhere.
    2. Ink is what stands out from the paper, on the side that stands out more: dark on light or
       light on dark. Otsu's threshold separates the two, softly.
    3. Pieces that touch the edge of the picture, such as the dark band of a scan, are dropped if a
       piece inside is at least a twentieth as large. Then specks are dropped, smaller than a
       twentieth of the largest piece.
    4. Strokes that would be thinner than 2.2 pixels are thickened to that, like a pen's.
    5. The digit is scaled to fit a box of 20 × 20 pixels, and placed with its centre of mass in the
       middle of 28 × 28.

    There is a warning if nothing stands out; if the ink falls into more than two pieces; if it
    fills less than 12 % of its box; if it touches the edge of the picture; or if it is unlike every
    digit of MNIST's (see `likeness`).
    """
    ink = _ink(image)
    if ink is None:
        blank = np.zeros((SIDE, SIDE, 1), np.uint8)
        return Scan(blank, ["nothing stands out from the background"])
    ink, pieces, at_edge = _without_specks(ink)
    drawn = ink > 0.5
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    cover = drawn.sum() / ((np.ptp(rows) + 1) * (np.ptp(columns) + 1))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    pixels = _centred(_thickened(ink, max(ink.shape)))
    alike = likeness(pixels)
    reasons = [
        (pieces > MOST_PIECES, f"it is in {pieces} pieces, a digit in one or two"),
        (
            cover < LEAST_COVER,
            f"it fills {cover:.0%} of its box, a digit at least {LEAST_COVER:.0%}",
        ),
        (at_edge, "it touches the edge of the picture"),
        (alike < LEAST_ALIKE, f"the most similar digit of MNIST is only {alike:.0%} like it"),
    ]
    return Scan(pixels, [reason for applies, reason in reasons if applies])


def ink_of_digits(image: NDArray[np.float32], side: int) -> Scan:
    """Find the digits in a picture (H, W, 3), and draw them as MNIST does, all in their places.

    The ink is found as by `scan_digit`, steps 1 to 3. Strokes are thickened as in step 4, and the
    picture is resized, so that the median digit is about `side` pixels long.
    Returns pixels (H', W', 1) uint8, and a warning if nothing stands out.
    """
    ink = _ink(image)
    if ink is None:
        height, width = _shrunk(image[..., 0], WORKING_SIDE).shape
        blank = np.zeros((height, width, 1), np.uint8)
        return Scan(blank, ["nothing stands out from the background"])
    ink, *_ = _without_specks(ink)
    _, _, stats, _ = cv2.connectedComponentsWithStats((ink > 0.5).astype(np.uint8))
    sides = stats[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1)
    typical = float(np.median(sides))
    thick = _thickened(ink, typical)
    margin = (thick.shape[0] - ink.shape[0]) // 2  # which the pen has added
    thick = thick[margin : margin + ink.shape[0], margin : margin + ink.shape[1]]
    scale = min(side / typical, MOST_ZOOM)
    height, width = (max(1, round(length * scale)) for length in thick.shape)
    pixels = np.rint(255 * resize(thick, height, width)).astype(np.uint8)
    return Scan(pixels[:, :, None], [])


def likeness(pixels: NDArray[np.uint8]) -> float:
    """Return from 0 to 1 how alike an image (28, 28, 1) is to the most similar of MNIST's digits.

    It is the cosine of the angle between the two as vectors of pixels, both blurred; the digits are
    10,000 of the training images.
    """
    return float((_directions(pixels[None]) @ _known_digits().T).max())


@functools.cache
def _known_digits():
    return _directions(load_digits().train.images[:KNOWN])


def _directions(images):
    """Blurred images as vectors of length 1, (n, H · W); zero if an image is black."""
    blurred = np.stack([cv2.GaussianBlur(image, (0, 0), BLUR) for image in images])
    vectors = blurred.reshape(len(images), -1).astype(np.float32)
    return vectors / np.maximum(1, np.linalg.norm(vectors, axis=1, keepdims=True))


def _ink(image):
    """How much ink each pixel has, (H, W) from 0 to 1, no larger than needed; None without ink."""
    grey = _shrunk(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), WORKING_SIDE)
    raised = grey - _paper(grey)
    darker, lighter = -raised.min(), raised.max()
    if max(darker, lighter) < FAINTEST:
        return None
    strength = np.clip(raised if lighter > darker else -raised, 0, None)
    levels = (strength * (255 / strength.max())).astype(np.uint8)
    threshold = cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)[0] / 255 * strength.max()
    return np.clip(strength / (2 * max(threshold, FAINTEST / 2)), 0, 1)  # one half at the threshold


def _paper(grey):
    """The brightness of the paper at each pixel, (H, W), as a surface of second degree."""
    few = _shrunk(grey, PAPER_SIDE)
    terms, values = _second_degree(*few.shape), few.ravel()
    near = np.ones(few.size, bool)
    for _ in range(8):
        factors = np.linalg.lstsq(terms[near], values[near], rcond=None)[0]  # (6,)
        distance = abs(values - terms @ factors)
        near = distance <= max(2.5 * np.median(distance), 0.02)
    return (_second_degree(*grey.shape) @ factors).reshape(grey.shape)


def _second_degree(height, width):
    """1, x, y, x², xy, y² at each pixel, (height · width, 6); x and y run from −1 to 1."""
    y, x = np.meshgrid(
        np.linspace(-1, 1, height, dtype=np.float32),
        np.linspace(-1, 1, width, dtype=np.float32),
        indexing="ij",
    )
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)


def _shrunk(grey, side):
    """The image with at most `side` pixels on its longer side.

    Either side keeps 3 pixels if it has them: fewer do not determine a surface of second degree.
    """
    share = min(1, side / max(grey.shape))
    return resize(grey, *(max(min(3, size), round(size * share)) for size in grey.shape))


def _without_specks(ink):
    """The ink of the large pieces, how many there are, and whether they touch the edge."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((ink > 0.5).astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    areas[0] = 0  # the paper
    inside = areas.copy()
    inside[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = 0
    at_edge = inside.max() < LEAST_INSIDE * areas.max()
    if not at_edge:
        areas = inside
    large = np.flatnonzero(areas >= SPECK * areas.max())
    mask = cv2.dilate(np.isin(labels, large).astype(np.uint8), np.ones((3, 3), np.uint8))
    return ink * mask, len(large), at_edge


def _thickened(ink, side):
    """The ink, with strokes broad enough for the box, in which digits of that side will be."""
    drawn = np.pad((ink > 0.5).astype(np.uint8), 1)
    outlines, _ = cv2.findContours(drawn, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    stroke = 2 * drawn.sum() / max(1, sum(cv2.arcLength(line, True) for line in outlines))
    missing = round((THINNEST / BOX * side - stroke) / 2)
    if missing < 1:
        return ink
    pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * missing + 1, 2 * missing + 1))
    return cv2.dilate(np.pad(ink, missing), pen)


def _centred(ink):
    """The ink in a box 20 pixels long, its centre of mass in the middle of (28, 28, 1) uint8."""
    scale = BOX / max(ink.shape)
    box = resize(ink, *(max(1, round(side * scale)) for side in ink.shape))
    pixels = np.zeros((SIDE, SIDE, 1), np.uint8)
    corner = []
    for axis, side in enumerate(box.shape):
        mass = box.sum(axis=1 - axis)
        middle = (mass * np.arange(side)).sum() / mass.sum()
        corner.append(int(np.clip(round(MIDDLE - middle), 0, SIDE - side)))
    top, left = corner
    pixels[top : top + box.shape[0], left : left + box.shape[1], 0] = np.rint(255 * box)
    return pixels
