"""Data sets in MNIST's format that are damaged, lie about their size, or do not fit together."""

import gzip
import os

import numpy as np

from minivit.data.digits import load_digits
from tests.data.idx import NAMES, few_digits, idx_bytes, write_digits

from . import Row

IMAGES = "train-images-idx3-ubyte"


def file(change):
    """A row's input: a good folder; `change` is given the packed and the plain training images."""

    def give(place):
        folder = few_digits(place.folder / "digits")
        path = folder / f"{IMAGES}.gz"
        packed = path.read_bytes()
        path.write_bytes(change(packed, gzip.decompress(packed)))
        return folder

    return give


def plain(change):
    """A row's input: a folder of files without gzip, with the training images changed."""

    def give(place):
        images, labels = np.zeros((3, 4, 4)), np.arange(3)
        folder = write_digits(place.folder / "d", (images, labels), (images, labels), False)
        (folder / IMAGES).write_bytes(change((folder / IMAGES).read_bytes()))
        return folder

    return give


def together(train, test):
    """A row's input: images and labels that do not belong together."""
    return lambda place: write_digits(place.folder / "digits", train, test)


def missing(name):
    def give(place):
        folder = few_digits(place.folder / "digits")
        (folder / f"{name}.gz").unlink()
        return folder

    return give


def flipped(packed, _):
    middle = len(packed) // 2
    return packed[:middle] + bytes([packed[middle] ^ 255]) + packed[middle + 1 :]


def bomb(promised):
    """A gigabyte of zeros in a megabyte, behind a header that promises so many images."""

    def change(_, raw):
        zeros = gzip.compress(bytes(2**24), 9) * 64
        return gzip.compress(raw[:4] + np.array([promised, 28, 28], ">u4").tobytes()) + zeros

    return change


def instead(make):
    """A row's input: a good folder with something else in the place of the training images."""

    def give(place):
        folder = missing(IMAGES)(place)
        make(folder / f"{IMAGES}.gz")
        return folder

    return give


PIXELS, LABELS = np.zeros((3, 4, 4)), np.zeros(3)
DAMAGED = rf"{IMAGES}.gz is damaged"
CASES = [
    ("a truncated download", file(lambda packed, _: packed[:-1000]), DAMAGED),
    ("a flipped byte", file(flipped), DAMAGED),
    ("a web page", file(lambda *_: b"<html>404 Not Found</html>"), f"{DAMAGED} .*ot a gzipped"),
    ("an empty file", file(lambda *_: b""), f"{IMAGES}.gz is no idx file of images.*got nothing"),
    ("zeros behind gzip", file(lambda packed, _: packed + b"junk"), DAMAGED),
    ("another type of number", file(lambda _, raw: gzip.compress(b"\0\0\x0d\x03" + raw[4:])),
     "expected it to begin with 00 00 08 03, got 00 00 0d 03"),
    ("a number missing", file(lambda _, raw: gzip.compress(raw[:-1])),
     r"promises \(240, 28, 28\), 188160 bytes, but 188159 follow"),
    ("a number too many", file(lambda _, raw: gzip.compress(raw + b"\0")),
     r"promises \(240, 28, 28\), 188160 bytes, but more follow"),
    ("a header alone", file(lambda _, raw: gzip.compress(raw[:16])), "188160 bytes, but 0 follow"),
    ("half a header", file(lambda _, raw: gzip.compress(raw[:10])), "is no idx file of images"),
    ("a header of 2**96", file(lambda _, raw: gzip.compress(raw[:4] + b"\xff" * 12 + raw[16:])),
     f"{DAMAGED}: its header promises .*, more than 1,073,741,824 bytes"),
    ("labels for images", file(lambda *_: gzip.compress(idx_bytes(np.zeros(240)))),
     "expected it to begin with 00 00 08 03, got 00 00 08 01"),
    ("a bomb that is not announced", file(bomb(240)), r"188160 bytes, but more follow"),
    ("a bomb that is", file(bomb(2**31)), "its header promises .*, more than 1,073,741,824 bytes"),
    ("plain, truncated", plain(lambda data: data[:-1]), f"{IMAGES} is damaged: .*47 follow"),
    ("plain, gzipped all the same", plain(gzip.compress), "expected it to begin with 00 00 08 03"),
    ("a pipe", instead(os.mkfifo), f"has no file {IMAGES} or {IMAGES}.gz", FileNotFoundError),
    ("a folder", instead(os.mkdir), f"has no file {IMAGES} or {IMAGES}.gz", FileNotFoundError),
    ("not to be read", instead(lambda path: (path.touch(), path.chmod(0))), "Permission denied",
     PermissionError),
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
