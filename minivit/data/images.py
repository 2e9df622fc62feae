"""Pictures from files and from the web: read, framed and resized."""

import math
import re
from os import PathLike
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .decode import MOST_PIXELS, decode
from .download import MOST_BYTES, fetch, printable
from .framing import MIDDLE, Framing

SECONDS = 20  # for a download


def load_image(source: str | PathLike[str]) -> NDArray[np.float32]:
    """Read a picture from a path or an http(s) URL; return RGB (H, W, 3), float32 in [0, 1].

    JPEG, PNG, WebP, BMP and TIFF (its first page); grey, palette or colour. Grey of 16 bits stays
    exact; colour of 16 bits is read with 8. The picture is turned as its EXIF orientation says, and
    laid on white paper: with alpha from 0 to 1, colour · alpha + 1 − alpha.

    Errors, each naming the source:
        OSError:    a file that is missing or cannot be read, no file, or more than 2**26 bytes;
                    for a URL, what `fetch` raises
        ValueError: not a picture of these formats, damaged or cut off, more than 25 * 2**20
                    pixels, or pixels of 32 bits
    """
    name = printable(source)
    return decode(_bytes_of(source, name), name)


def load_pixels(
    source: str | PathLike[str],
    height: int,
    width: int,
    channels: int = 3,
    framing: Framing = MIDDLE,
) -> NDArray[np.uint8]:
    """Read a picture, framed, at a size; return RGB or grey, (height, width, channels) uint8.

    Unless the framing says otherwise, that is the largest part in the middle with the proportions
    of height and width, so nothing is stretched.
    Errors: those of `load_image` and `resize`; ValueError unless channels is 1 or 3.
    """
    if channels not in (1, 3):
        raise ValueError(f"a picture is read with 1 channel or with 3, got {channels}")
    expect_size(height, width)
    image = load_image(source)
    sizes = *image.shape[:2], height, width
    if framing.interpolation == "area":
        part = _middle(image, *framing.part(*sizes), math.floor)
        pixels = _bytes(resize(part, height, width))
    else:
        rows, columns = framing.whole(*sizes)
        expect_size(rows, columns)
        kind = Image.Resampling[framing.interpolation.upper()]
        whole = np.asarray(Image.fromarray(_bytes(image)).resize((columns, rows), kind))
        pixels = _middle(whole, height, width, round).copy()  # a view would keep all of it
    if channels == 1:
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)[:, :, None]
    return pixels


def resize(image: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Return the image (H, W) or (H, W, C), float in [0, 1], at another size, float in [0, 1].

    An axis that shrinks is averaged over areas, so no pixel is skipped. An axis that grows is
    interpolated by cubics, clipped where they overshoot. Errors: those of `expect_size`; ValueError
    if OpenCV fails, most often for want of memory.
    """
    expect_size(height, width)
    H, W = image.shape[:2]
    smaller = (min(W, width), min(H, height))
    try:
        resized = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
        resized = cv2.resize(resized, (width, height), interpolation=cv2.INTER_CUBIC)
    except cv2.error as error:
        raise ValueError(
            f"OpenCV cannot resize to {height} x {width}: {' '.join(error.err.split())}; try "
            "something smaller"
        ) from None
    return resized.clip(0, 1).reshape(height, width, *image.shape[2:])


def expect_size(height: int, width: int) -> None:
    """Check a size to resize to. Errors: ValueError below 1 or above 25 * 2**20 pixels."""
    if height < 1 or width < 1:
        raise ValueError(f"resize: expected height and width of at least 1, got {height} x {width}")
    if height * width > MOST_PIXELS:
        raise ValueError(
            f"resize: expected at most {MOST_PIXELS:,} pixels, got {height} x {width}; ask for less"
        )


def _middle(image, height, width, rounded):
    """What is height x width in the middle; `rounded` makes an integer of its first row, column."""
    H, W = image.shape[:2]
    top, left = rounded((H - height) / 2), rounded((W - width) / 2)
    return image[top : top + height, left : left + width]


def _bytes(image):
    """Floats in [0, 1] as bytes; the floats, which nobody needs any more, are overwritten."""
    return np.rint(np.multiply(image, 255, out=image), out=image).astype(np.uint8)


def _bytes_of(source, name):
    """The contents of a file or a URL."""
    if isinstance(source, str) and re.match("https?://", source, re.IGNORECASE):
        return fetch(source, SECONDS)
    if isinstance(source, str) and "://" in source:
        raise ValueError(f"{name} is neither a file nor an http(s) URL")
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"there is no image {name}; expected a file or an http(s) URL")
    if not path.is_file():  # opening a pipe would wait for ever
        raise OSError(f"{name} is a folder or a device; expected an image file")
    with open(path, "rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise OSError(f"{name} is larger than {MOST_BYTES:,} bytes, the limit for an image")
    return data
