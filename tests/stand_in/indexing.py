"""Reading and writing parts of an array (_core/_routines_indexing.pyx)."""

import numpy as np

from .device import counts, ndarray, new, on_host, sent, view


def prepared(self, index):
    """_prepare_slice_list, _view_getitem: the index for NumPy, and the arrays in it.

    Lists and NumPy arrays are moved to the device, without a word; indices in arrays wrap around.
    """
    parts, arrays = [], []
    for part in index if isinstance(index, tuple) else (index,):
        if part is None or part is Ellipsis or isinstance(part, (slice, ndarray)):
            pass
        elif np.isscalar(part) and not isinstance(part, (bool, np.bool_)):
            part = int(part)
        else:
            part = sent(part, np.int32 if np.size(part) == 0 and type(part) is list else None)
        if isinstance(part, ndarray):
            if part.dtype.kind not in "biu":
                raise IndexError(
                    "arrays used as indices must be of integer or boolean type. "
                    f"(actual: {part.dtype.type})"
                )
            arrays.append(part)
        parts.append(part)
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    widths = [width_of(part) for part in parts]
    axis = 0
    for place, part in enumerate(parts):
        if part is Ellipsis:
            axis += max(0, self.ndim - sum(widths))
        elif isinstance(part, ndarray):
            wraps = part.dtype.kind != "b" and axis < self.ndim and self.shape[axis]
            parts[place] = part._host % self.shape[axis] if wraps else part._host
        axis += widths[place]
    return tuple(parts), arrays


def width_of(part):
    """How many axes of the array a part of its index stands for."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, ndarray) and part.dtype == bool else 1


def gathering(self, arrays):
    """Count what _prepare_mask_indexing_single or _prepare_multiple_array_indexing waits for.

    Returns the number of calls of the rest, the gather or scatter among them.
    """
    masks = [array for array in arrays if array.dtype == bool]
    for mask in masks:
        if mask.size:
            counted_mask()
    if len(arrays) == 1:
        return 2 if masks and masks[0].ndim < self.ndim else 1
    indices = sum(width_of(array) for array in arrays)
    return len(masks) + 1 + indices + 1  # places of Trues, a fill, a sum of strides, the gather


def getitem(self, index):
    index, arrays = prepared(self, index)
    host = self._host[index]
    return new(host, gathering(self, arrays)) if arrays else view(self, host)


def setitem(self, index, value):
    """_scatter_op"""
    index, arrays = prepared(self, index)
    if arrays:
        value = value if isinstance(value, ndarray) else sent(value, self.dtype)
        calls = gathering(self, arrays)
        self._host[index] = value.astype(self.dtype, copy=False)._host
        counts.calls += calls
        return
    place = view(self, self._host[index])
    if not isinstance(value, ndarray):
        fill(place, value)
    elif not same_memory(place._host, value._host):
        place._host[...] = value._host
        counts.calls += 1 if place.size else 0


def same_memory(a, b):
    return (a.ctypes.data, a.shape, a.strides) == (b.ctypes.data, b.shape, b.strides)


def take(self, indices, axis):
    """_core/_routines_indexing.pyx, _take: indices out of range wrap around."""
    if not np.isscalar(indices) and not isinstance(indices, ndarray):
        indices = sent(indices, int)
    return new(np.take(self._host, on_host(indices), axis, mode="wrap"))


def fill(self, value):
    """_core/core.pyx, fill"""
    if not isinstance(value, ndarray):
        value = np.asarray(value)
    if value.shape != ():
        kind = "cupy" if isinstance(value, ndarray) else "numpy"
        raise ValueError(f"non-scalar {kind}.ndarray cannot be used for fill")
    self._host[...] = value._host if isinstance(value, ndarray) else value.astype(self.dtype)
    counts.calls += 1 if self.size else 0


def nonzero(self):
    """_core/_routines_indexing.pyx, _ndarray_argwhere: how many there are, the host must know."""
    if not self.ndim:
        raise NotImplementedError("the stand-in for CuPy has no nonzero of a 0-d array")
    if self.size:
        counted_mask(self.dtype != bool)
    rows = new(np.argwhere(self._host))
    return tuple(rows[:, axis] for axis in range(self.ndim))


def counted_mask(extra_calls=0):
    """The sum over a mask goes to the host, which makes an array of this size."""
    counts.calls += 1 + extra_calls
    counts.synchronisations += 1
    counts.bytes_out += 4
