"""Arrays that are still in their file."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

FLOATS = ("float64", "float32", "float16", "bfloat16")


class Stored(NamedTuple):
    """An array in a file: its shape, and how to get it."""

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]  # -> float32, of that shape


def in_file(path, offset, dtype, shape, strides=None):
    """The Stored array at an offset; the strides count numbers, and are None for rows in order."""

    def read():
        count = math.prod(shape)
        if strides and count:
            count = 1 + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        if dtype not in FLOATS:
            raise ValueError(f"it holds {dtype} numbers; expected floating-point numbers")
        kind = "uint16" if dtype == "bfloat16" else dtype
        numbers = np.fromfile(path, kind, count, offset=offset)
        if len(numbers) != count:  # a view of it would show what lies behind it in memory
            raise ValueError(f"it ends after {len(numbers):,} of its {count:,} numbers")
        numbers = as_float32(numbers, dtype)
        if not strides or not count:
            return numbers.reshape(shape)
        steps = [4 * stride for stride in strides]
        return np.lib.stride_tricks.as_strided(numbers, shape, steps, writeable=False)

    return Stored(shape, read)


def itemsize(dtype):
    """Bytes of a number."""
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def as_float32(numbers, dtype):
    """float64, float32, float16 and bfloat16, which NumPy does not know, as float32."""
    if dtype == "bfloat16":  # the upper half of a float32
        return (numbers.astype(np.uint32) << 16).view(np.float32)
    if numbers.dtype.kind != "f":
        raise ValueError(f"it holds {numbers.dtype} numbers; expected floating-point numbers")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        return numbers.astype(np.float32, copy=False)
