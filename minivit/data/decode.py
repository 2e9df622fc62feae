"""The bytes of a picture decoded, whatever they are, in bounded time and memory.

Pillow decodes them: it knows the size of a picture before it takes memory for the pixels. What else
a small file could ask for is bounded here: the reads of its parsers, which are written in Python,
the scans of a JPEG, the strips and tiles of a TIFF.
"""

import contextlib
import io
import math
import threading
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
MOST_PIXELS = 25 * 2**20  # as floats, 12 bytes a pixel; with what a decoder holds, half a gigabyte
MOST_READ = 2**28  # bytes, as `_Source` counts them; a picture is read about once
READ, SCAN = 512, 2**19  # what each read, and each scan of a JPEG, counts as; so 512 scans at most
LONGEST_TAG = 2**20  # bytes; a TIFF of half a million strips would need a gigabyte
SIDE = 1024  # pixels of the squares that are turned into floats, one at a time
UPRIGHT = {  # how to turn a picture upright, by its EXIF orientation (CIPA DC-008, table 6)
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LOCK = threading.Lock()


def decode(data: bytes, name: str) -> NDArray[np.float32]:
    """Return a picture upright and on white, RGB (H, W, 3), float32 in [0, 1].

    Errors: ValueError, beginning with the name, for anything but a sound picture of FORMATS with at
    most MOST_PIXELS pixels of at most 16 bits.
    """
    try:
        return _on_white(_pixels(data, name))
    except MemoryError:
        raise ValueError(f"{name} needs more memory than is free; make it smaller first") from None


def _pixels(data, name):
    """The picture upright, as a Pillow image that holds nothing but its pixels."""
    source = _Source(data)
    too_large = f"{name} has more than {MOST_PIXELS:,} pixels, the limit; make it smaller first"
    try:
        with _quiet():
            image = Image.open(source, formats=FORMATS)
    except Image.DecompressionBombError:
        raise ValueError(too_large) from None
    except MemoryError:
        raise
    except Exception:  # whatever a parser raises at bytes that make no sense
        begins = f"begins with {data[:8].hex(' ')}" if data else "is empty"
        raise ValueError(
            f"{name} is not an image, or a damaged one: it {begins}; expected {', '.join(FORMATS)}"
        ) from None
    if math.prod(image.size) > MOST_PIXELS:
        raise ValueError(too_large)
    if image.mode in ("I", "F", "LAB"):
        raise ValueError(
            f"{name} has pixels of mode {image.mode}; expected grey or RGB of 8 or 16 bits"
        )
    source.longest = math.inf
    try:
        tags = getattr(image, "tag_v2", {})  # of a TIFF
        _expect_usual(tags, image.mode)
        with _quiet() if tags else contextlib.nullcontext():  # reads tags again
            image.load()
        kind, depth = image.format, data[24]  # the depth of a PNG
        return _mended(_upright(image), tags, depth if kind == "PNG" else 8)
    except MemoryError:
        raise
    except Exception:
        raise ValueError(
            f"{name} is a {image.format} that is damaged, cut off, or of a kind too rare to be "
            "read; replace it with a fresh copy, or save it anew as a PNG"
        ) from None


class _Source(io.BytesIO):
    """The bytes of a file, which may be read so much and no more.

    A TIFF's parser takes an error for the end of the tags; what comes after the strips is metadata.
    """

    def __init__(self, data):
        super().__init__(data)
        self.left, self.scan = MOST_READ, SCAN if data.startswith(b"\xff\xd8") else 0
        self.longest = LONGEST_TAG if data.startswith((b"II", b"MM")) else math.inf

    def read(self, size=-1, /):
        if size >= self.longest:
            raise OSError("this tag is too long")
        data = super().read(size)
        self.left -= READ + len(data) + self.scan * data.count(b"\xff\xda")
        if self.left < 0:
            raise OSError("it was read too often")
        return data


@contextlib.contextmanager
def _quiet():
    """Silence Pillow's warnings about odd metadata, and about sizes that are checked here."""
    with LOCK, warnings.catch_warnings():  # all threads share Python's warning filters
        warnings.simplefilter("ignore")
        yield


def _expect_usual(tags, mode):
    """Errors: ValueError for a TIFF that Pillow would read wrongly, or with far too much memory."""
    tag = ExifTags.Base
    deep = max(tags.get(tag.BitsPerSample, (8,))) > 8
    apart = tags.get(tag.PlanarConfiguration) == 2 and tags.get(tag.SamplesPerPixel, 1) > 1
    if apart and (deep or mode not in ("RGB", "RGBA", "CMYK")):
        raise ValueError("deep colours, or an alpha channel, in separate planes")
    if set(tags.get(tag.SampleFormat, (1,))) != {1}:
        raise ValueError("signed numbers")
    if tags.get(tag.TileWidth, 1) * tags.get(tag.TileLength, 1) > MOST_PIXELS:
        raise ValueError("a tile that is larger than any picture")


def _upright(image):
    """A new image, turned as the EXIF orientation says, which lets the decoder's memory go.

    `ImageOps.exif_transpose` also writes the metadata anew, and fails where a tag makes no sense.
    """
    try:
        with _quiet():
            turn = UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # the metadata makes no sense; the pixels may be good
        turn = None
    return image.copy() if turn is None else image.transpose(turn)


def _mended(image, tags, depth):
    """The image as its format means it, where Pillow hands on numbers as they are in the file.

    tags:  of a TIFF, whose grey may have 12 bits, or 0 for white
    depth: bits of a PNG, whose transparent colour has as many
    """
    key = image.info.get("transparency")
    if image.mode == "L" and key is not None:
        image.info["transparency"] = key % 2**depth * 255 // (2**depth - 1)
    elif image.mode == "RGB" and key is not None:
        image.info["transparency"] = tuple(part >> max(0, depth - 8) for part in key)
    elif image.mode == "La":  # grey · alpha
        image = image.convert("LA")
    elif image.mode.startswith("I;16") and tags:
        grey = np.asarray(image)
        if tags[ExifTags.Base.BitsPerSample] == (12,):
            grey = grey << 4 | grey >> 8  # 4095 becomes 65535
        if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:
            grey = 65535 - grey
        image = Image.fromarray(grey.astype(np.uint16))
    return image


def _on_white(image):
    """An image on white, RGB (H, W, 3) float32 in [0, 1]."""
    W, H = image.size
    rgb = np.empty((H, W, 3), np.float32)
    for top in range(0, H, SIDE):
        for left in range(0, W, SIDE):
            right, bottom = min(left + SIDE, W), min(top + SIDE, H)
            square = image.crop((left, top, right, bottom))
            rgb[top:bottom, left:right] = _square_on_white(square)
    return rgb


def _square_on_white(image):
    """A small image on white, RGB (H, W, 3), or grey (H, W, 1) if it has 16 bits."""
    if image.mode.startswith("I;16"):
        grey = np.asarray(image)[:, :, None]
        return np.where(grey == image.info.get("transparency", -1), 1, grey / np.float32(65535))
    mode = "RGBA" if image.has_transparency_data else "RGB"
    pixels = np.asarray(image.convert(mode)) / np.float32(255)
    if mode == "RGB":
        return pixels
    alpha = pixels[:, :, 3:]
    return pixels[:, :, :3] * alpha + (1 - alpha)
