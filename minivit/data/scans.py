"""From a photo or scan of a digit to an image like MNIST's (LeCun et al. 1998, section III.A)."""

from typing import NamedTuple

import cv2
import numpy as np

from .resize import resize

SIDE, BOX, MIDDLE = 28, 20, 14  # of MNIST's images, of the box of a digit, its centre of mass
WORKING_SIDE = 400  # pixels of the longer side, at most; a digit needs no more
PAPER_SIDE = 64  # enough to see how the light falls
FAINTEST = 0.08  # of the way from black to white: less contrast is no ink
SPECK = 0.05  # of the largest piece: what is smaller is dirt
THINNEST = 2.2  # pixels of a stroke in the box; the median of MNIST's is 2.4
MOST_PIECES = 2
LEAST_INSIDE = 0.05  # of the largest piece: what is inside the picture, for the edge's to be none
LEAST_COVER = 0.12  # of its box that a digit fills


class Scan(NamedTuple):
    """A digit as MNIST has it, (28, 28) uint8, light on black; and sentences why it may be none."""

    pixels: np.ndarray
    doubts: list[str]


def scan_digit(image):
    """Find the digit in a picture (H, W, 3), RGB in [0, 1], and draw it as MNIST does: a Scan.

    1. Paper. A surface of second degree is fitted to the grey values, again and again without what
       lies far from it, and taken off: what is left of the paper is 0 everywhere.
    2. Ink is what stands out from it, to the side that stands out more: dark on light or light on
       dark. Otsu's threshold parts it from the paper, softly.
    3. Pieces that touch the edge of the picture, as the dark band of a scan does, are dropped if
       one inside is at least a twentieth as large as they are; then specks, smaller than a
       twentieth of the largest piece.
    4. Strokes that would be thinner than 2.2 pixels are made as broad, as a pen's are.
    5. It is made to fit a box of 20 x 20 pixels, and laid with its centre of mass in the middle of
       28 x 28.

    The doubts, by rule: nothing stands out; it falls into more than two pieces; it fills less than
    12 % of its box; it touches the edge of the picture.
    """
    ink = _ink(image)
    if ink is None:
        return Scan(np.zeros((SIDE, SIDE), np.uint8), ["nothing stands out from the background"])
    ink, pieces, at_edge = _without_specks(ink)
    drawn = ink > 0.5
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    cover = drawn.sum() / ((np.ptp(rows) + 1) * (np.ptp(columns) + 1))
    doubts = []
    if pieces > MOST_PIECES:
        doubts.append(f"it is in {pieces} pieces, a digit in one or two")
    if cover < LEAST_COVER:
        doubts.append(f"it fills {cover:.0%} of its box, a digit at least {LEAST_COVER:.0%}")
    if at_edge:
        doubts.append("it touches the edge of the picture")
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Scan(_centred(_fitted(_thickened(ink))), doubts)


def _ink(image):
    """How much ink is where, (H, W) from 0 to 1, not too large; None if there is none."""
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
    """The brightness of the paper at each pixel (H, W), a surface of second degree."""
    few = _shrunk(grey, PAPER_SIDE)
    terms, values = _second_degree(*few.shape), few.ravel()
    near = np.ones(few.size, bool)
    for _ in range(8):
        factors = np.linalg.lstsq(terms[near], values[near], rcond=None)[0]  # (6,)
        distance = abs(values - terms @ factors)
        near = distance <= max(2.5 * np.median(distance), 0.02)
    return (_second_degree(*grey.shape) @ factors).reshape(grey.shape)


def _second_degree(height, width):
    """1, x, y, x², xy, y² at each pixel, (height · width, 6); x and y are from −1 to 1."""
    y, x = np.meshgrid(
        np.linspace(-1, 1, height, dtype=np.float32),
        np.linspace(-1, 1, width, dtype=np.float32),
        indexing="ij",
    )
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)


def _shrunk(grey, side):
    """The image with its longer side at most so many pixels, and three or more of what it has.

    Through fewer, a surface of second degree could run anywhere.
    """
    share = min(1, side / max(grey.shape))
    return resize(grey, *(max(min(3, size), round(size * share)) for size in grey.shape))


def _without_specks(ink):
    """The ink in pieces of some size alone, how many they are, and whether they touch the edge."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((ink > 0.5).astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    areas[0] = 0  # the paper
    inside = areas.copy()
    inside[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = 0
    at_edge = inside.max() < LEAST_INSIDE * areas.max()
    if not at_edge:
        areas = inside
    large = np.flatnonzero(areas >= SPECK * areas.max())
    kept = cv2.dilate(np.isin(labels, large).astype(np.uint8), np.ones((3, 3), np.uint8))
    return ink * kept, len(large), at_edge


def _thickened(ink):
    """The ink, with strokes that will not be too thin in the box."""
    drawn = np.pad((ink > 0.5).astype(np.uint8), 1)
    outlines, _ = cv2.findContours(drawn, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    stroke = 2 * drawn.sum() / max(1, sum(cv2.arcLength(line, True) for line in outlines))
    missing = round((THINNEST / BOX * max(ink.shape) - stroke) / 2)
    if missing < 1:
        return ink
    pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * missing + 1, 2 * missing + 1))
    return cv2.dilate(np.pad(ink, missing), pen)


def _fitted(ink):
    """The ink in a box with a longer side of 20 pixels."""
    scale = BOX / max(ink.shape)
    return resize(ink, *(max(1, round(side * scale)) for side in ink.shape))


def _centred(box):
    """The box in the middle of an image (28, 28) uint8, as near as whole pixels come to it."""
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    corner = []
    for axis, side in enumerate(box.shape):
        mass = box.sum(axis=1 - axis)
        middle = (mass * np.arange(side)).sum() / mass.sum()
        corner.append(int(np.clip(round(MIDDLE - middle), 0, SIDE - side)))
    top, left = corner
    pixels[top : top + box.shape[0], left : left + box.shape[1]] = np.rint(255 * box)
    return pixels
