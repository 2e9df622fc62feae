"""NumPy's .npz, in which Google publishes its weights."""

import math
import zipfile
from io import BytesIO

import numpy as np

from .stored import Stored, as_float32

LARGEST_HEADER = 2**13  # bytes of the text before the numbers of an array
SPARE = 2**22  # bytes by which a small file may grow


def read_npz(path, archive):
    """The arrays of an .npz, which may be compressed, but hardly more than weights can be."""
    infos = archive.infolist()
    total, actual = sum(info.file_size for info in infos), path.stat().st_size
    if total > 2 * actual + SPARE:
        raise ValueError(f"its {actual:,} bytes unpack to {total:,}, which weights do not")
    return {info.filename.removesuffix(".npy"): _in_npz(path, archive, info) for info in infos}


def _in_npz(path, archive, info):
    with archive.open(info) as file:
        start = BytesIO(file.read(LARGEST_HEADER))
    version = np.lib.format.read_magic(start)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0
    }  # fmt: skip
    shape, _, dtype = readers[version](start)
    size = start.tell() + math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or size != info.file_size:
        raise ValueError(
            f"{info.filename} has a header that does not fit its {info.file_size:,} bytes"
        )

    def read():
        with zipfile.ZipFile(path) as again, again.open(info.filename) as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
        if dtype == np.dtype("V2"):  # how NumPy saves the bfloat16 of JAX
            return as_float32(array.view("<u2"), "bfloat16")
        return as_float32(array, dtype.str)

    return Stored(shape, read)
