"""MNIST and data sets of its format: four idx files, verified, and refused by name if damaged.

The idx format (LeCun): two zero bytes, a byte for the type (8: unsigned byte), a byte for the
number of axes, the size of each axis as four bytes, big-endian, and then the numbers.
"""

import gzip
import hashlib
import math
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

MNIST = Path(__file__).parent / "mnist"
UNSIGNED_BYTE = 8
LARGEST = 2**30  # numbers in a file; a header that promises more is a damaged one


class Split(NamedTuple):
    """Images (n, H, W) uint8 and their labels (n,) int64."""

    images: np.ndarray
    labels: np.ndarray


class Digits(NamedTuple):
    """A training and a test set, and the name of each class."""

    train: Split
    test: Split
    classes: list[str]


def load_digits(source: str | os.PathLike = "mnist") -> Digits:
    """Load "mnist", which comes with this package, "fashion-mnist", or a folder of four idx files.

    Fashion-MNIST is downloaded if this machine has it not (data/fashion.py). A folder holds
    train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
    t10k-labels-idx1-ubyte, each plain or with .gz, and may hold MD5SUMS (`md5sum` format, of the
    unpacked files). Every file's magic number and length are verified, gzip's own checksum, and the
    MD5 sums where they are given.

    Returns Digits. Errors: FileNotFoundError for what is missing, OSError if a download fails;
    ValueError naming the file that is damaged.
    """
    if source == "fashion-mnist":
        from . import fashion  # here, as few need it and it brings all that a download needs

        folder, sums, classes = fashion.fashion_mnist_folder(), fashion.MD5_SUMS, fashion.CLASSES
    else:
        folder = MNIST if source == "mnist" else Path(source)
        if not folder.is_dir():
            raise FileNotFoundError(
                f'no data set at {str(source)!r}; expected "mnist", "fashion-mnist" or a folder '
                "with the four idx files"
            )
        sums, classes = _listed_sums(folder), None
    train, test = _load_split(folder, "train", sums), _load_split(folder, "t10k", sums)
    train_size, test_size = train.images.shape[1:], test.images.shape[1:]
    if train_size != test_size:
        raise ValueError(
            f"{folder}: training images are {train_size} pixels, test images {test_size}; "
            "they must be of one size"
        )
    count = 1 + max(train.labels.max(), test.labels.max())
    return Digits(train, test, list(classes or map(str, range(count))))


def hold_out(split, count, rng):
    """Split off `count` images at random for validation; return (the rest, those `count`)."""
    if not 0 < count < len(split.labels):
        raise ValueError(
            f"cannot hold out {count} of {len(split.labels)} images; expected at least 1, and at "
            "least 1 left to train on"
        )
    order = rng.permutation(len(split.labels))
    validation, rest = (
        Split(split.images[part], split.labels[part])
        for part in (np.sort(order[:count]), np.sort(order[count:]))
    )
    return rest, validation


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
    """Read an idx file of unsigned bytes with so many axes; ValueError names a damaged file."""
    magic = bytes([0, 0, UNSIGNED_BYTE, axes])
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            header = file.read(4 + 4 * axes)
            if len(header) < 4 + 4 * axes or header[:4] != magic:
                raise ValueError(
                    f"{path} is no idx file of {'images' if axes == 3 else 'labels'}: expected it "
                    f"to begin with {magic.hex(' ')}, got {header[:4].hex(' ') or 'nothing'}"
                )
            shape = tuple(int(size) for size in np.frombuffer(header, ">u4")[1:])
            if math.prod(shape) > LARGEST:
                raise ValueError(
                    f"{path} is damaged: its header promises {shape}, more than {LARGEST:,} bytes"
                )
            body = file.read(math.prod(shape) + 1)  # one byte more than there should be
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}); replace it by a fresh copy") from error
    if len(body) != math.prod(shape):
        found = "more" if len(body) > math.prod(shape) else len(body)
        raise ValueError(
            f"{path} is damaged: its header promises {shape}, {math.prod(shape)} bytes, "
            f"but {found} follow; replace it by a fresh copy"
        )
    if sums is None:
        return np.frombuffer(body, np.uint8).reshape(shape)
    name, actual = path.name.removesuffix(".gz"), hashlib.md5(header + body).hexdigest()
    if name not in sums:
        raise ValueError(
            f"{path.parent / 'MD5SUMS'} has no line for {name}; expected the MD5 sum of the "
            "unpacked file"
        )
    if actual != sums[name]:
        raise ValueError(
            f"{path} is damaged: the MD5 sum of its contents is {actual}, expected {sums[name]}; "
            "replace it by a fresh copy"
        )
    return np.frombuffer(body, np.uint8).reshape(shape)


def _listed_sums(folder):
    """{name of the unpacked file: MD5 sum} from the folder's MD5SUMS; None if there is none."""
    if not (folder / "MD5SUMS").is_file():
        return None
    lines = (folder / "MD5SUMS").read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = [line.partition(" ")[::2] for line in lines]
    return {listed.lstrip(" *").removeprefix("./"): md5.lower() for md5, listed in pairs}
