"""Data sets in MNIST's format that are damaged, lie about their size or do not fit together."""

import gzip
import os
import struct

import numpy as np

from minivit.data.digits import load_digits
from tests.data.idx import NAMES, few_digits, idx_bytes, write_digits

from . import Row

IMAGES = "train-images-idx3-ubyte"


def damaged(damage):
    """A row's input: a good folder, once `damage` has been done to the path of a file in it."""

    def give(place):
        folder = few_digits(place.folder / "digits")
        damage(folder / f"{IMAGES}.gz")
        return folder

    return give


def packed(change):
    return damaged(lambda path: path.write_bytes(change(path.read_bytes())))


def raw(change):
    """Bytes changed before they are packed, so that gzip's checksum is right."""
    return packed(lambda data: gzip.compress(change(gzip.decompress(data))))


def instead(make):
    return damaged(lambda path: (path.unlink(), make(path)))


def missing(name):
    return damaged(lambda path: path.with_name(f"{name}.gz").unlink())


def together(train, test):
    """A row's input: images and labels that do not belong together."""
    return lambda place: write_digits(place.folder / "digits", train, test)


def plain(path):
    """Training images without gzip, a number short."""
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes())[:-1])
    path.unlink()


def promising(path):
    """Training images without gzip, a gigabyte by their header."""
    path.with_suffix("").write_bytes(b"\0\0\x08\3" + struct.pack(">3I", 2**30, 1, 1))
    path.unlink()


def flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]


def bomb(data):
    """A gigabyte of zeros in a megabyte, behind the header of a few images."""
    return gzip.compress(gzip.decompress(data)[:16]) + gzip.compress(bytes(2**24), 9) * 64


PIXELS, LABELS = np.zeros((3, 4, 4)), np.zeros(3)
DAMAGED = rf"{IMAGES}.gz is damaged"
CASES = [
    ("a truncated download", packed(lambda data: data[:-1000]), DAMAGED),
    ("a flipped byte", packed(flipped), DAMAGED),
    ("a web page", packed(lambda _: b"<html>404 Not Found</html>"), f"{DAMAGED} .*ot a gzipped"),
    ("an empty file", packed(lambda _: b""), "is not an idx file of images.*got nothing"),
    ("bytes behind gzip", packed(lambda data: data + b"junk"), DAMAGED),
    ("another type of number", raw(lambda data: b"\0\0\x0d\x03" + data[4:]),
     "expected it to begin with 00 00 08 03, got 00 00 0d 03"),
    ("a number missing", raw(lambda data: data[:-1]),
     r"promises \(240, 28, 28\), 188160 bytes, but 188159 follow"),
    ("a number too many", raw(lambda data: data + b"\0"),
     r"promises \(240, 28, 28\), 188160 bytes, but more follow"),
    ("half a header", raw(lambda data: data[:10]), "is not an idx file of images"),
    ("a header of 2**96", raw(lambda data: data[:4] + b"\xff" * 12 + data[16:]),
     f"{DAMAGED}: its header promises .*, more than 1,073,741,824 bytes"),
    ("a header of 2**32",
     raw(lambda data: data[:4] + struct.pack(">3I", 2**16, 2**16, 1) + data[16:]),
     f"{DAMAGED}: its header promises .*, more than 1,073,741,824 bytes"),
    ("a header of 2**30", raw(lambda data: data[:4] + struct.pack(">3I", 2**30, 1, 1) + data[16:]),
     f"{IMAGES}.gz (needs more memory|is damaged)"),
    ("plain, a header of 2**30", damaged(promising), f"{IMAGES} (needs more memory|is damaged)"),
    ("labels for images", raw(lambda _: idx_bytes(np.zeros(240))),
     "expected it to begin with 00 00 08 03, got 00 00 08 01"),
    ("a bomb", packed(bomb), r"188160 bytes, but more follow"),
    ("plain, a number missing", damaged(plain), f"{IMAGES} is damaged: .*, but 188159 follow"),
    ("a pipe", instead(os.mkfifo), f"has no file {IMAGES} or {IMAGES}.gz", FileNotFoundError),
    ("not to be read", damaged(lambda path: path.chmod(0)), "Permission denied", PermissionError),
    *((f"no {name}", missing(name), f"has no file {name} or {name}.gz", FileNotFoundError)
      for name in NAMES.values()),
    ("a label too few", together((PIXELS, LABELS[:2]), (PIXELS, LABELS)),
     "has 3 images, but .* has 2 labels"),
    ("test images of another size", together((PIXELS, LABELS), (PIXELS[:, :, :3], LABELS)),
     r"images are \(4, 4\) pixels, test images \(4, 3\)"),
    ("no images", together((PIXELS[:0], LABELS[:0]), (PIXELS, LABELS)),
     r"is empty: its header says \(0, 4, 4\)"),
    ("images of no size", together((PIXELS[:, :, :0], LABELS), (PIXELS, LABELS)),
     r"is empty: its header says \(3, 4, 0\)"),
    ("nowhere", lambda place: "minst", "no data set at 'minst'; expected \"mnist\",",
     FileNotFoundError),
]  # fmt: skip
ROWS = [Row(case[0], load_digits, *case[1:]) for case in CASES]
