"""Small data sets in the idx format, for tests."""

import functools
import gzip
from pathlib import Path

import numpy as np

import minivit

NAMES = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}


def idx_bytes(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


def write_digits(folder, train, test, compressed=True):
    """Write the four files of a data set; train and test are (images, labels)."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    for split, (images, labels) in {"train": train, "test": test}.items():
        for kind, array in {"images": images, "labels": labels}.items():
            path = folder / NAMES[split, kind]
            if compressed:
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(idx_bytes(array)))
            else:
                path.write_bytes(idx_bytes(array))
    return folder


@functools.cache
def mnist():
    """The whole data set, unpacked once for all tests."""
    return minivit.load_digits()


def few_digits(folder, train=240, test=50):
    """A folder with the first of MNIST's digits."""
    data = mnist()
    return write_digits(
        folder,
        (data.train.images[:train], data.train.labels[:train]),
        (data.test.images[:test], data.test.labels[:test]),
    )
