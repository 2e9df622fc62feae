"""MNIST and data sets of the same format: four idx files, read, verified, and refused by name when damaged.

The idx format (LeCun): two zero bytes, a byte for the type (8: unsigned byte), a byte for the number of axes, the size of
each axis as four bytes, big-endian, and then the numbers.
"""

import gzip
import hashlib
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

MNIST = Path(__file__).parent / "mnist"
UNSIGNED_BYTE = 8


class Split(NamedTuple):
    """Images (n, H, W) uint8 and their labels (n,) int64."""

    images: np.ndarray
    labels: np.ndarray


class Digits(NamedTuple):
    """A training and a test set, and the name of each class."""

    train: Split
    test: Split
    classes: list[str]


def load_digits(source="mnist"):
    """Load a data set: "mnist", which comes with this package, or a folder with four idx files.

    The folder holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
    t10k-labels-idx1-ubyte, each plain or with .gz, and may hold MD5SUMS (`md5sum` format, of the unpacked files).
    Every file's magic number and length are verified, gzip's own checksum, and the MD5 sums where they are given.

    Returns Digits. Errors: FileNotFoundError for what is missing; ValueError naming the file that is damaged.
    """
    folder = MNIST if source == "mnist" else Path(source)
    if not folder.is_dir():
        raise FileNotFoundError(f'no data set at {str(source)!r}; expected "mnist" or a folder with the four idx files')
    train, test = _load_split(folder, "train"), _load_split(folder, "t10k")
    if train.images.shape[1:] != test.images.shape[1:]:
        raise ValueError(
            f"{folder}: training images are {train.images.shape[1:]} pixels, test images {test.images.shape[1:]}; "
            "they must be of one size"
        )
    classes = [str(label) for label in range(1 + max(train.labels.max(), test.labels.max()))]
    return Digits(train, test, classes)


def hold_out(split, count, rng):
    """Split off `count` images at random for validation; return (the rest, the validation split)."""
    if not 0 < count < len(split.labels):
        raise ValueError(f"cannot hold out {count} of {len(split.labels)} images; some must remain to train on")
    order = rng.permutation(len(split.labels))
    validation, rest = np.sort(order[:count]), np.sort(order[count:])
    return Split(split.images[rest], split.labels[rest]), Split(split.images[validation], split.labels[validation])


def _load_split(folder, prefix):
    image_file = _find(folder, f"{prefix}-images-idx3-ubyte")
    label_file = _find(folder, f"{prefix}-labels-idx1-ubyte")
    images, labels = _read_idx(image_file, axes=3), _read_idx(label_file, axes=1)
    if len(images) != len(labels):
        raise ValueError(f"{image_file} has {len(images)} images, but {label_file} has {len(labels)} labels")
    if images.size == 0:
        raise ValueError(f"{image_file} is empty: its header says {images.shape}; expected at least one image")
    return Split(images, labels.astype(np.int64))


def _find(folder, name):
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{folder} has no file {name} or {name}.gz; expected the four idx files of MNIST")


def _read_idx(path, axes):
    """Read an idx file of unsigned bytes with that many axes; ValueError names the file if anything is wrong with it."""
    header_size = 4 + 4 * axes
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            header = file.read(header_size)
            magic = bytes([0, 0, UNSIGNED_BYTE, axes])
            if len(header) < header_size or header[:4] != magic:
                raise ValueError(f"{path} is no idx file of images or labels: expected it to begin with {magic.hex(' ')}, "
                                 f"got {header[:4].hex(' ') or 'nothing'}")  # fmt: skip
            shape = tuple(int(size) for size in np.frombuffer(header, ">u4")[1:])
            body = file.read(math.prod(shape) + 1)  # one byte more than there should be
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}); replace it by a fresh copy") from error
    if len(body) != math.prod(shape):
        found = "more" if len(body) > math.prod(shape) else f"{len(body)}"
        raise ValueError(f"{path} is damaged: its header promises {shape}, {math.prod(shape)} bytes, but {found} follow")
    expected, actual = _md5_sums(path.parent).get(path.name.removesuffix(".gz")), hashlib.md5(header + body).hexdigest()
    if expected not in (None, actual):
        raise ValueError(f"{path} is damaged: the MD5 sum of its contents is {actual}, expected {expected}; replace it")
    return np.frombuffer(body, np.uint8).reshape(shape)


def _md5_sums(folder):
    """{file name: sum} from the folder's MD5SUMS, empty if there is none."""
    path = folder / "MD5SUMS"
    if not path.is_file():
        return {}
    lines = (line.split() for line in path.read_text(encoding="ascii").splitlines() if line.strip())
    return {name.lstrip("*"): md5 for md5, name in lines}
