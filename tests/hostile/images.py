"""Files that are not images, are damaged or lie about their size, and paths without a file."""

import os
import struct
import zlib

import numpy as np
from PIL import Image

from minivit.data.images import load_image
from tests.data.formats import chunk, tiff
from tests.data.pictures import NOISE, OPTIONS, RGB, saved

from . import Row


def file_of(data):
    """A row's input: the path of a file of these bytes, which are made when the row is tested."""

    def give(place):
        path = place.folder / "bad.img"
        path.write_bytes(data() if callable(data) else data)
        return path

    return give


def sized(width, height, depth=8, color=2, body=b"", more=b""):
    """A PNG whose header says anything, with more chunks before its pixels."""
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    parts = [chunk("IHDR", head), more, chunk("IDAT", body), chunk("IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


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
    return sized(50_000, 50_000, 1, 0, zlib.compress(bytes(50_000 * 6251), 1))


def many_scans():
    """A progressive JPEG of 5000 x 5000, 32 MB as pixels, with a scan in each 33 bytes."""
    tables = b"\xff\xc4\0\x14\0\1" + bytes(16) + b"\xff\xc4\0\x14\x10\1" + bytes(15) + b"\xe0"
    head = b"\xff\xc2" + struct.pack(">HBHHBBBB", 11, 8, 5000, 5000, 1, 1, 0x11, 0)
    run = int("011111111111111" * 12 + "1111", 2).to_bytes(23)  # 12 runs of 32,767 blocks
    scan = b"\xff\xda\0\x08\1\1\0\1\x3f\0" + run.replace(b"\xff", b"\xff\0")
    first = b"\xff\xda\0\x08\1\1\0\0\0\0" + bytes(48_829)
    quantum = b"\xff\xdb\0\x43\0" + b"\1" * 64
    return b"\xff\xd8" + quantum + head + tables + first + scan * 5000 + b"\xff\xd9"


def with_tags(more, body=b""):
    """A grey TIFF of 64 x 64 pixels, {tag: (type, count, value)}."""
    tags = {256: (3, 1, 64), 257: (3, 1, 64), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1),
            277: (3, 1, 1)} | more  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, *entry) for tag, entry in sorted(tags.items()))
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)
    return head.ljust(200, b"\0") + body


def many_strips():
    """A TIFF whose every byte is the place of a strip too."""
    count = 2**24 - 100
    strips = {273: (4, count, 200), 278: (3, 1, 1), 279: (4, count, 200)}
    return with_tags(strips, b"\1" * 4 * count)


def large_tile():
    tile = {322: (4, 1, 2**15), 323: (4, 1, 2**15), 324: (4, 1, 200), 325: (4, 1, 4096)}
    return with_tags(tile | {259: (3, 1, 5)}, bytes(10_000))


def large_webp():
    """A WebP whose canvas is as large as one may be, around a small image."""
    body = saved(RGB, "WEBP", lossless=True)[12:]
    canvas = struct.pack("<I", 16_382)[:3]
    head = b"VP8X" + struct.pack("<II", 10, 0) + canvas + canvas
    return b"RIFF" + struct.pack("<I", 4 + len(head + body)) + b"WEBP" + head + body


def slow_bmp():
    """A BMP of 5000 x 5000, packed in runs of a pixel each."""
    head = struct.pack("<IiiHHIIiiII", 40, 5000, 5000, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 1078) + head + bytes(1024) + b"\1\0" * 25 * 10**6


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
    ("PNG broken inside", broken, "is a PNG that is damaged"),
    ("no width", sized(0, 9), NO_IMAGE),
    ("no pixels", sized(9, 9), "is a PNG that is damaged"),
    ("7 bit", sized(9, 9, depth=7, body=zlib.compress(bytes(300))), NO_IMAGE),
    ("too few pixels", sized(9, 9, body=zlib.compress(bytes(20))), "is a PNG that is damaged"),
    ("a bomb of 2.5 gigapixels", bomb, "has more than 26,214,400 pixels"),
    ("a larger bomb", sized(2**31 - 1, 2**31 - 1), "has more than 26,214,400 pixels"),
    ("a wide bomb", sized(2**25 + 1, 1), "has more than 26,214,400 pixels"),
    ("a PNG of 100 megapixels", sized(10_000, 10_000), "has more than 26,214,400 pixels"),
    ("JPEG that says 65,500 x 65,500",
     lambda: patched("JPEG", b"\xff\xc0", 5, struct.pack(">HH", 65_500, 65_500)),
     "has more than 26,214,400 pixels"),
    ("BMP of 5000 x 5000 without them",
     lambda: patched("BMP", b"BM", 18, struct.pack("<ii", 5000, 5000)), "is a BMP that is damaged"),
    ("BMP 2**31 high",
     lambda: patched("BMP", b"BM", 18, struct.pack("<ii", 50, -(2**31))),
     "has more than 26,214,400 pixels"),
    ("JPEG of 5000 scans", many_scans, "is a JPEG that is damaged"),
    ("JPEG filled up with 0xff", lambda: b"\xff\xd8" + b"\xff" * (2**26 - 2), NO_IMAGE),
    ("JPEG of ten million comments", lambda: b"\xff\xd8" + b"\xff\xfe\0\2" * 10**7, NO_IMAGE),
    ("PNG of five million chunks", lambda: sized(9, 9, more=chunk("teXt", b"") * 5 * 10**6),
     NO_IMAGE),
    ("BMP of 25 million runs", slow_bmp, "is a BMP that is damaged"),
    ("TIFF of 17 million strips", many_strips, NO_IMAGE),
    ("TIFF with a tile of a gigapixel", large_tile, "is a TIFF that is damaged"),
    ("TIFF of int8", lambda: with_tags({273: (4, 1, 200), 279: (4, 1, 4096), 339: (3, 1, 2)},
                                       bytes(4096)), "is a TIFF that is damaged"),
    ("TIFF with alpha in a plane of its own", lambda: tiff(RGB[..., :2], 8, 1, extra=[2], planes=2),
     "is a TIFF that is damaged"),
    ("WebP with a canvas of 16,383 x 16,383", large_webp, "needs more memory|has more than"),
    ("floats", lambda: saved(RGB[:, :, 0].astype(np.float32), "TIFF"), "has pixels of mode F;"),
    ("int32", lambda: saved(RGB[:, :, 0].astype(np.int32), "TIFF"), "has pixels of mode I;"),
    ("LAB", lambda: saved(Image.new("LAB", (9, 9)), "TIFF"), "has pixels of mode LAB; expected gr"),
    *((f"{kind} cut at {share}", lambda kind=kind, share=share: cut(kind, share),
       f"is a {kind} that is damaged|{NO_IMAGE}")
      for kind in OPTIONS for share in (0.02, 0.5, 0.9)),
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
