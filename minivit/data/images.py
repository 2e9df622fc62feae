"""Images of all kinds, from files and from the web, read by OpenCV and refused by name if damaged.

Pillow reads the headers: OpenCV tells the size of an image only once all of it is in memory, and
forgets how a camera was held if it is to keep transparency.
"""

import io
import math
import re
import threading
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image

from .fetch import MOST_BYTES, fetch, printable
from .resize import MOST_PIXELS, refused_by_name, resize

LONGEST = 10**6  # pixels of a side, the limit of libpng
SIGNATURES = {  # how a file of each format begins
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WEBP": rb"RIFF....WEBP",
    "BMP": rb"BM",
    "TIFF": rb"II\*\0|MM\0\*|II\+\0|MM\0\+",
}
UPRIGHT = {  # what makes an image upright that has this EXIF orientation
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
HEADERS = threading.Lock()  # Python's warnings are one for all threads

# What OpenCV cannot read is told by an error that names the file, not by lines of its own; libpng
# still writes to stderr what it finds wrong in a header.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def load_image(source):
    """Read an image from a path or an http(s) URL; return RGB (H, W, 3), float32 in [0, 1].

    JPEG, PNG, WebP, BMP and TIFF (its first page); grey, palette or colour, 8 or 16 bit. It is
    turned as its EXIF orientation says. What is transparent shows white, as on paper: with alpha
    from 0 to 1, colour · alpha + 1 − alpha. Only the alpha of a grey TIFF is passed over.

    Errors, each naming the source
        OSError:    no such file, not a file, not to be opened, larger than 2**26 bytes; or what
                    `fetch` says of a URL
        ValueError: not an image of these formats, damaged or cut off, more than 2**25 pixels or
                    10**6 on a side, or numbers that are not 8 or 16 bit
    """
    name = printable(source)
    if isinstance(source, str) and re.match("https?://", source, re.IGNORECASE):
        data = fetch(source)
    elif isinstance(source, str) and "://" in source:
        raise ValueError(f"{name} is no file, and no address that begins with http or https")
    else:
        data = _read_file(Path(source), name)
    kind = _format(data, name)
    turn, mode = _header(data, kind, name)
    with refused_by_name(name):
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise _damaged(name, kind)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"{name} holds {pixels.dtype} numbers; expected pixels of 8 or 16 bit")
    if kind == "BMP" and mode != "RGBA" and pixels.ndim == 3:
        pixels = pixels[:, :, :3]  # the fourth byte of a pixel means nothing without an alpha mask
    multiplied = kind == "TIFF" and pixels.dtype == np.uint8  # by alpha, which OpenCV does there
    with refused_by_name(name):
        rgb = _rgb(pixels, multiplied)
    return np.ascontiguousarray(UPRIGHT.get(turn, lambda image: image)(rgb))


def load_pixels(source, height, width):
    """Read an image as a model of that size was trained on it; return RGB (height, width, 3) uint8.

    The middle of the picture, as much of it as has the proportions of height and width, at that
    size: nothing is stretched, and of an oblong picture both ends are left out. It is `load_image`
    and then `resize`, with the errors of both.
    """
    image = load_image(source)
    H, W = image.shape[:2]
    share = min(H / height, W / width)
    h, w = max(1, round(share * height)), max(1, round(share * width))
    top, left = (H - h) // 2, (W - w) // 2
    middle = resize(image[top : top + h, left : left + w], height, width)
    return np.rint(255 * middle).astype(np.uint8)


def _read_file(path, name):
    """The bytes of a file, if it is one and not too large."""
    if not path.exists():
        raise FileNotFoundError(f"there is no image {name}; expected a file or an http(s) URL")
    if not path.is_file():
        raise OSError(f"{name} is a folder or a device; expected an image file")
    with open(path, "rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise OSError(f"{name} is larger than {MOST_BYTES:,} bytes, the limit for an image")
    return data


def _format(data, name):
    for kind, signature in SIGNATURES.items():
        if re.match(signature, data, re.DOTALL):
            return kind
    begins = f"begins with {data[:8].hex(' ')}" if data else "is empty"
    raise ValueError(f"{name} is no image: it {begins}; expected {', '.join(SIGNATURES)}")


def _header(data, kind, name):
    """How an image is still to be turned, from 1 to 8 as EXIF counts, and its mode, as Pillow says.

    Errors: ValueError if it is too large.
    """
    with HEADERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata, and of sizes that are refused here
        try:
            header = Image.open(io.BytesIO(data), formats=[kind])
        except Image.DecompressionBombError:
            raise _too_large(name) from None
        except Exception:  # whatever a parser raises at bytes that make no sense
            raise _damaged(name, kind) from None
        with header:
            if math.prod(header.size) > MOST_PIXELS:
                raise _too_large(name)
            if max(header.size) > LONGEST:
                width, height = header.size
                raise ValueError(
                    f"{name} is {width:,} pixels wide and {height:,} high; expected no side of "
                    f"more than {LONGEST:,}; cut it up first"
                )
            if kind == "TIFF":
                return 1, header.mode  # OpenCV turns it
            try:
                return header.getexif().get(ExifTags.Base.Orientation, 1), header.mode
            except OSError:
                raise _damaged(name, kind) from None
            except Exception:  # metadata without sense; the image may be good
                return 1, header.mode


def _too_large(name):
    return ValueError(
        f"{name} has more than {MOST_PIXELS:,} pixels, the limit; make it smaller first"
    )


def _damaged(name, kind):
    return ValueError(f"{name} is a damaged {kind}, or cut off; replace it by a fresh copy")


def _rgb(pixels, multiplied):
    """RGB (H, W, 3) float32 in [0, 1], of grey (H, W), BGR or BGRA pixels."""
    largest = np.iinfo(pixels.dtype).max
    channels = 1 if pixels.ndim == 2 else pixels.shape[-1]
    rgb = cv2.cvtColor(
        pixels, {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}[channels]
    ).astype(np.float32)
    rgb /= largest
    if channels == 4:
        alpha = pixels[:, :, 3:] / np.float32(largest)
        if not multiplied:
            rgb *= alpha
        rgb += 1 - alpha
    return rgb
