"""MNIST and data sets of its format: four idx files, verified on reading.

The idx format (LeCun): two zero bytes, a byte for the type (8: unsigned byte), a byte for the
number of axes, the size of each axis as four bytes, big-endian, and then the numbers.
"""

from __future__ import annotations  # so that no annotation loads np.random

import gzip
import hashlib
import math
import zlib
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .folders import ImageFiles

MNIST = Path(__file__).parent / "mnist"
UNSIGNED_BYTE = 8
LARGEST = 2**30  # numbers in a file; a header that promises more is damaged
MNIST_SUMS = {  # MD5, of the unpacked files
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


class Split(NamedTuple):
    """Images (n, H, W) or (n, H, W, C) uint8, in memory or in files; labels (n,) int64."""

    images: NDArray[np.uint8] | ImageFiles
    labels: NDArray[np.int64]


class Digits(NamedTuple):
    """A training and a test set, and the name of each class."""

    train: Split
    test: Split
    classes: list[str]


def load_digits(source: str | PathLike[str] = "mnist") -> Digits:
    """Load "mnist", which comes with this package, "fashion-mnist", or a folder of four idx files.

    Fashion-MNIST is downloaded if it is not on this machine (data/download.py). A folder holds
    train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
    t10k-labels-idx1-ubyte, each plain or with .gz. Every file's magic number and length are
    verified, and gzip's checksum; for MNIST and Fashion-MNIST, the MD5 sum too.

    Errors: FileNotFoundError if a file is missing, OSError if a download fails; ValueError naming a
    damaged file.
    """
    if source == "fashion-mnist":
        from . import download  # only here: few need it, and it imports much

        folder, sums = download.fashion_mnist_folder(), download.FASHION_SUMS
        classes = download.FASHION_CLASSES
    else:
        folder = MNIST if source == "mnist" else Path(source)
        if not folder.is_dir():
            raise FileNotFoundError(
                f'no data set at {str(source)!r}; expected "mnist", "fashion-mnist" or a folder '
                "with the four idx files"
            )
        sums, classes = MNIST_SUMS if source == "mnist" else {}, []
    train, test = _load_split(folder, "train", sums), _load_split(folder, "t10k", sums)
    train_size, test_size = train.images.shape[1:], test.images.shape[1:]
    if train_size != test_size:
        raise ValueError(
            f"{folder}: training images are {train_size} pixels, test images {test_size}; expected "
            "one size"
        )
    count = 1 + max(train.labels.max(), test.labels.max())
    return Digits(train, test, list(classes or map(str, range(count))))


def hold_out(split: Split, count: int, rng: np.random.Generator) -> tuple[Split, Split]:
    """Split off `count` images at random for validation; return (the rest, those `count`)."""
    if not 0 < count < len(split.labels):
        raise ValueError(
            f"cannot hold out {count} of {len(split.labels)} images; expected at least 1, and at "
            "least 1 left to train on"
        )
    order = rng.permutation(len(split.labels))
    validation, rest = np.sort(order[:count]), np.sort(order[count:])
    return (
        Split(split.images[rest], split.labels[rest]),
        Split(split.images[validation], split.labels[validation]),
    )


def has_idx_files(folder: str | PathLike) -> bool:
    """Whether it is a folder with idx files, packed or not, in it."""
    return any(Path(folder).glob("*-ubyte*"))


def _load_split(folder, prefix, sums):
    image_file = _find(folder, f"{prefix}-images-idx3-ubyte")
    label_file = _find(folder, f"{prefix}-labels-idx1-ubyte")
    images, labels = _read_idx(image_file, 3, sums), _read_idx(label_file, 1, sums)
    if len(images) != len(labels):
        raise ValueError(
            f"{image_file} has {len(images)} images, but {label_file} has {len(labels)} labels"
        )
    if images.size == 0:
        raise ValueError(
            f"{image_file} is empty: its header says {images.shape}; expected at least one image"
        )
    return Split(images, labels.astype(np.int64))


def _find(folder, name):
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{folder} has no file {name} or {name}.gz; expected the four idx files of MNIST"
    )


def _read_idx(path, axes, sums):
    """The array in an idx file of unsigned bytes with `axes` axes."""
    magic = bytes([0, 0, UNSIGNED_BYTE, axes])
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            header = file.read(4 + 4 * axes)
            if len(header) < 4 + 4 * axes or header[:4] != magic:
                raise ValueError(
                    f"{path} is not an idx file of {'images' if axes == 3 else 'labels'}: expected "
                    f"it to begin with {magic.hex(' ')}, got {header[:4].hex(' ') or 'nothing'}"
                )
            shape = tuple(int(size) for size in np.frombuffer(header, ">u4")[1:])
            length = math.prod(shape)
            if length > LARGEST:
                raise ValueError(
                    f"{path} is damaged: its header promises {shape}, more than {LARGEST:,} bytes"
                )
            body = file.read(length + 1)  # one byte more than there should be
    except MemoryError:
        raise ValueError(
            f"{path} needs more memory than is free: its header promises {shape}, {length:,} bytes"
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}); replace it with a fresh copy") from error
    if len(body) != length:
        follow = "more" if len(body) > length else len(body)
        raise ValueError(
            f"{path} is damaged: its header promises {shape}, {length} bytes, but {follow} follow; "
            "replace it with a fresh copy"
        )
    expected = sums.get(path.name.removesuffix(".gz"))
    if expected and (actual := hashlib.md5(header + body).hexdigest()) != expected:
        raise ValueError(
            f"{path} is damaged: the MD5 sum of its contents is {actual}, expected {expected}; "
            "replace it with a fresh copy"
        )
    return np.frombuffer(body, np.uint8).reshape(shape)
