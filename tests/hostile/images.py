"""Files that are not images, are damaged or lie about their size, and paths without a file."""

import os
import struct
import zlib

import numpy as np
from PIL import Image

from minivit.data.images import load_image
from tests.data.pictures import NOISE, OPTIONS, RGB, saved

from . import Row


def file_of(data):
    """A row's input: the path of a file of these bytes, which are made when the row is tested."""

    def give(place):
        path = place.folder / "bad.img"
        path.write_bytes(data() if callable(data) else data)
        return path

    return give


def png(width, height, depth=8, color=2, body=b""):
    """A PNG whose header says anything."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)),
        (b"IDAT", body),
        (b"IEND", b""),
    ]
    packed = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def broken():
    """A PNG with a stretch of other bytes in the middle."""
    data = saved(NOISE, "PNG")
    return data[: len(data) // 2] + b"\xa5\x5a" * 8 + data[len(data) // 2 + 16 :]


def patched(kind, before, offset, data):
    """A good image with other bytes, `offset` behind the first occurrence of `before`."""
    whole = bytearray(saved(NOISE, kind))
    start = whole.index(before) + offset
    whole[start : start + len(data)] = data
    return bytes(whole)


def bomb():
    return png(50_000, 50_000, 1, 0, zlib.compress(bytes(50_000 * 6251), 1))


def cut(kind, share):
    data = saved(NOISE, kind, **OPTIONS[kind])
    return data[: int(share * len(data))]


SIGNATURES = {
    "JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG\r\n\x1a\n", "BMP": b"BM", "TIFF": b"II*\0",
    "WEBP": b"RIFF\0\0\0\0WEBP",
}  # fmt: skip
NO_IMAGE = "is not an image, or a damaged one: it "
FILES = [
    ("empty", b"", NO_IMAGE + "is empty; expected JPEG, PNG"),
    ("one byte", b"P", NO_IMAGE + "begins with 50;"),
    ("a web page", b"<html>Log in</html>", NO_IMAGE + "begins with 3c 68 74"),
    ("GIF, animated", lambda: saved(RGB, "GIF"), NO_IMAGE + "begins with 47 49"),
    ("SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>", NO_IMAGE + "begins with 3c 73"),
    *((f"{kind} signature alone", data, NO_IMAGE + f"begins with {data[:2].hex(' ')}")
      for kind, data in SIGNATURES.items()),
    ("TIFF that is its own next page",
     b"II*\0\x08\0\0\0\x01\0" + b"\xff" * 12 + b"\x08\0\0\0", NO_IMAGE),
    ("PNG broken inside", broken, "is a damaged PNG"),
    ("no width", png(0, 9), NO_IMAGE),
    ("no pixels", png(9, 9), "is a damaged PNG"),
    ("7 bit", png(9, 9, depth=7, body=zlib.compress(bytes(300))), NO_IMAGE),
    ("too few pixels", png(9, 9, body=zlib.compress(bytes(20))), "is a damaged PNG"),
    ("a bomb of 2.5 gigapixels", bomb, "has more than 33,554,432 pixels"),
    ("a larger bomb", png(2**31 - 1, 2**31 - 1), "has more than 33,554,432 pixels"),
    ("a wide bomb", png(2**25 + 1, 1), "has more than 33,554,432 pixels"),
    ("a PNG of 100 megapixels", png(10_000, 10_000), "has more than 33,554,432 pixels"),
    ("JPEG that says 65,500 x 65,500",
     lambda: patched("JPEG", b"\xff\xc0", 5, struct.pack(">HH", 65_500, 65_500)),
     "has more than 33,554,432 pixels"),
    ("BMP of 5000 x 6000 without them",
     lambda: patched("BMP", b"BM", 18, struct.pack("<ii", 5000, 6000)), "is a damaged BMP"),
    ("BMP 2**31 high",
     lambda: patched("BMP", b"BM", 18, struct.pack("<ii", 50, -(2**31))),
     "has more than 33,554,432 pixels"),
    ("floats", lambda: saved(RGB[:, :, 0].astype(np.float32), "TIFF"), "has pixels of mode F;"),
    ("int32", lambda: saved(RGB[:, :, 0].astype(np.int32), "TIFF"), "has pixels of mode I;"),
    ("LAB", lambda: saved(Image.new("LAB", (9, 9)), "TIFF"), "has pixels of mode LAB; expected gr"),
    *((f"{kind} cut at {share}", lambda kind=kind, share=share: cut(kind, share),
       f"is a damaged {kind}|{NO_IMAGE}") for kind in OPTIONS for share in (0.02, 0.5, 0.9)),
]  # fmt: skip


def pipe(place):
    os.mkfifo(place.folder / "pipe")
    return place.folder / "pipe"


def dangling(place):
    (place.folder / "link").symlink_to("nowhere")
    return place.folder / "link"


def forbidden(place):
    path = file_of(saved(RGB, "PNG"))(place)
    path.chmod(0)
    return path


def not_utf8(place):
    path = place.folder / os.fsdecode(b"caf\xe9.png")
    path.write_bytes(b"")
    return path


def huge(place):
    """A terabyte, which takes no room on disk."""
    path = file_of(b"BM")(place)
    os.truncate(path, 2**40)
    return path


PLACES = [
    ("a folder", lambda place: place.folder, "is a folder or a device; expected an image", OSError),
    ("a pipe", pipe, "is a folder or a device; expected an image", OSError),
    ("a device", lambda place: "/dev/zero", "is a folder or a device", OSError),
    ("nowhere", lambda place: place.folder / "a.png", "there is no image .*a.png; expected a file",
     FileNotFoundError),
    ("a link to nowhere", dangling, "there is no image .*link; expected", FileNotFoundError),
    ("not to be read", forbidden, "Permission denied", PermissionError),
    ("a name that is not UTF-8", not_utf8, r"caf\\udce9.png is not an image", ValueError),
    ("a name of two lines", lambda place: str(place.folder / "a\nb\x1b[2J.png"),
     r"no image .*a\\nb\\x1b\[2J.png; expected", FileNotFoundError),
    ("a name of 5000 letters", lambda place: "a" * 5000, "File name too long", OSError),
    ("a name with a zero byte", lambda place: "a\0.png", r"there is no image a\\x00.png", OSError),
    ("no name", lambda place: "", "is a folder or a device", OSError),
    ("a terabyte", huge, "is larger than 67,108,864 bytes, the limit for an image", OSError),
    ("another protocol", lambda place: "ftp://host/a.png", "is neither a file n", ValueError),
]  # fmt: skip

ROWS = [Row(what, load_image, file_of(data), message) for what, data, message in FILES]
ROWS += [Row(what, load_image, give, message, error) for what, give, message, error in PLACES]
