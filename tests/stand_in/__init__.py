"""A stand-in for CuPy that obeys CuPy's rules, for machines without a GPU.

Its array wraps a NumPy array that stands for memory on the device. NumPy computes; what may be
called, with which arguments, what is refused, what is a view and what it costs is as in CuPy:

    with installed() as cupy:                      # in sys.modules, as `import cupy` would put it
        x = cupy.asarray(np.ones(3, np.float32))
        before = cupy.counts.copy()
        float(x.sum())
        assert cupy.counts - before == Counts(calls=1, synchronisations=1, bytes_out=4)

What CuPy lacks raises what CuPy raises. What CuPy has and the stand-in has not (yet) raises
NotImplementedError. names.json holds the names and signatures of CuPy; the file of
CuPy's sources in which a rule was read is named beside it.

Counts are of what CuPy launches itself, with its defaults and without cuTENSOR. Some reductions
take its library CUB two launches, counted as one.
"""

import contextlib
import functools
import sys
import types

import numpy as np

from .calculation import UFUNCS, matmul, ufunc
from .device import (
    NAMES,
    SCALARS,
    Counts,
    CUDARuntimeError,
    OutOfMemoryError,
    checked_dtype,
    counts,
    fetched,
    memory_of,
    ndarray,
    new,
    on_host,
    sent,
    view,
)
from .methods import REDUCTIONS, astype, bound

__all__ = ["Counts", "installed"]


def array(obj, dtype, copy, ndmin=0):
    """_core/core.pyx, array"""
    if ndmin:
        raise NotImplementedError("the stand-in for CuPy has no ndmin= yet")
    if copy is False:
        raise NotImplementedError("the stand-in for CuPy has no copy=False yet")
    if isinstance(obj, ndarray):
        return astype(obj, obj.dtype if dtype is None else dtype, "K", None, None, copy)
    if isinstance(obj, (list, tuple)) and any(isinstance(part, ndarray) for part in obj):
        raise NotImplementedError("the stand-in for CuPy makes no array of a list of arrays yet")
    return sent(obj, dtype)


def full(shape, fill_value, dtype):
    dtype = np.asarray(on_host(fill_value)).dtype if dtype is None else dtype
    return new(np.full(shape, on_host(fill_value), dtype))


def concatenate(tup, axis, dtype, casting):
    """_core/_routines_manipulation.pyx, _concatenate: a copy each, or one kernel for many arrays.

    The kernel reads where they lie, their sizes and strides from the device.
    """
    if axis is None:
        tup, axis = [array.ravel() for array in tup], 0
    arrays = [on_host(array) for array in tup]
    if any(np.ndim(array) == 0 for array in arrays):
        raise TypeError("zero-dimensional arrays cannot be concatenated")
    host = np.concatenate(arrays, axis, dtype=dtype, casting=casting)
    n = len(arrays)
    same_dtype = all(array.dtype == host.dtype for array in arrays)
    if n <= 8 or not same_dtype or host.nbytes >= 2 * 1024 * 1024 * n:
        return new(host, sum(array.size > 0 for array in arrays))
    alike = all(a.flags.c_contiguous and a.shape[axis] * n == host.shape[axis] for a in arrays)
    counts.bytes_in += 8 * n * (1 if alike else 2 + host.ndim)
    return new(host)


def expand_dims(a, axis):
    return view(a, np.expand_dims(memory_of(a, "a"), axis))


def broadcast_to(array, shape):
    """A view that, as CuPy's, can be written to."""
    host = memory_of(array, "array")
    strides = np.broadcast_to(host, shape).strides
    return view(array, np.lib.stride_tricks.as_strided(host, np.empty(shape).shape, strides))


def split(ary, indices_or_sections, axis):
    parts = np.split(memory_of(ary, "ary"), indices_or_sections, axis)
    return [ary] if len(parts) == 1 else [view(ary, part) for part in parts]


def where(condition, x, y):
    """_sorting/search.py"""
    if (x is None) != (y is None):
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    if x is None:
        return of_method("nonzero")(a=condition)
    condition = condition.astype("?", copy=False)
    return new(np.where(on_host(condition), on_host(x), on_host(y)))


def copyto(dst, src, casting, where):
    """_manipulation/basic.py: of a Python scalar, where a mask is true"""
    if type(src) not in SCALARS or not isinstance(where, ndarray):
        raise NotImplementedError("the stand-in for CuPy copies a scalar to a mask only")
    np.copyto(dst._host, src, casting, where._host)
    counts.calls += 1


def of_method(name):
    """A function that calls the method of what it is given: a NumPy array gets NumPy's answer."""

    def call(**given):
        (_, array), *rest = given.items()
        if name in ("all", "any", "nonzero") and not isinstance(array, ndarray):
            raise TypeError(f"'a' must be a cupy.ndarray object, not {type(array)}.")
        return getattr(array, name)(**dict(rest))

    return call


METHODS = [*REDUCTIONS, "copy", "dot", "nonzero", "ravel", "repeat", "squeeze", "swapaxes", "take"]
FUNCTIONS = {
    **{name: of_method(name) for name in METHODS},
    "arange": lambda start, stop, step, dtype: new(
        np.arange(*((0, start) if stop is None else (start, stop)), step, dtype)
    ),
    "array": array,
    "asarray": lambda a, dtype, copy: array(a, dtype, copy),
    "ascontiguousarray": lambda a: a if a._host.flags.c_contiguous else new(a._host),
    "asnumpy": lambda a: fetched(a) if isinstance(a, ndarray) else np.asarray(a),
    "broadcast_to": broadcast_to,
    "concatenate": concatenate,
    "copyto": copyto,
    "empty": lambda shape, dtype: new(np.empty(shape, checked_dtype(dtype)), calls=0),
    "expand_dims": expand_dims,
    "full": full,
    "get_array_module": lambda args: (
        sys.modules["cupy"] if any(isinstance(arg, ndarray) for arg in args) else np
    ),
    "matmul": matmul,
    "ones": lambda shape, dtype: new(np.ones(shape, checked_dtype(dtype))),
    "reshape": lambda a, newshape: a.reshape(newshape),
    "split": split,
    "stack": lambda tup, axis, dtype, casting: concatenate(
        [expand_dims(x, axis) for x in tup], axis, dtype, casting
    ),
    "tile": lambda A, reps: new(np.tile(on_host(array(A, None, None)), reps)),
    "transpose": lambda a, axes: a.transpose(axes),
    "where": where,
    "zeros": lambda shape, dtype: new(np.zeros(shape, checked_dtype(dtype))),
}


class Module(types.ModuleType):
    """`cupy`. What it has not yet raises NotImplementedError, what CuPy lacks AttributeError."""

    def __init__(self):
        super().__init__("cupy")
        self.__version__ = NAMES["version"]
        self.counts = counts
        self.ndarray, self.ufunc = ndarray, ufunc
        for name in NAMES["constants"]:
            setattr(self, name, getattr(np, name))
        for name, function in UFUNCS.items():
            setattr(self, name, function)
        for name, implementation in FUNCTIONS.items():
            setattr(self, name, bound(name, NAMES["functions"][name], implementation))
        self.cuda = Part()
        self.cuda.memory = Part(OutOfMemoryError=OutOfMemoryError)
        self.cuda.runtime = Part(
            getDeviceCount=lambda: 1,
            getDeviceProperties=lambda device: {"name": b"stand-in"},  # and much more
            CUDARuntimeError=CUDARuntimeError,
        )
        self.cuda.is_available = self.is_available
        self.cuda.Device, self.used = functools.partial(Device, self), 0

    def is_available(self):
        """cuda/__init__.py"""
        try:
            return self.cuda.runtime.getDeviceCount() > 0
        except CUDARuntimeError:
            return False

    def __getattr__(self, name):
        if any(name in NAMES[kind] for kind in ("ufuncs", "functions", "others")):
            raise NotImplementedError(f"the stand-in for CuPy has no cupy.{name} yet")
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")


class Device:
    """cuda/device.pyx; `used` of the stand-in says which one is in use."""

    def __init__(self, cupy, number):
        self.cupy, self.id = cupy, number

    def use(self):
        if not 0 <= self.id < self.cupy.cuda.runtime.getDeviceCount():
            raise self.cupy.cuda.runtime.CUDARuntimeError(101)
        self.cupy.used = self.id


class Part(types.SimpleNamespace):
    """A module inside CuPy."""

    def __getattr__(self, name):
        raise NotImplementedError(f"the stand-in for CuPy has no {name} in cupy.cuda yet")


def ndtr(x):
    """cupyx/scipy/special/_statistics.py: a ufunc of CuPy's, for real numbers only"""
    if not isinstance(x, ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    if x.dtype.kind != "f":
        raise TypeError("ufunc 'cupyx_scipy_special_ndtr' not supported for the input types")
    import scipy.special

    return new(scipy.special.ndtr(x._host))


def modules():
    """{name: module}: `cupy`, and of `cupyx` what there is a stand-in for."""
    found = {"cupy": Module()}
    for name in ("cupyx", "cupyx.scipy", "cupyx.scipy.special"):
        found[name] = types.ModuleType(name)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(found[parent], child, found[name])
    found["cupyx.scipy.special"].ndtr = ndtr
    return found


@contextlib.contextmanager
def installed():
    """Put a stand-in with fresh counts into sys.modules; what was there before comes back."""
    counts.__init__()  # set to zero: all arrays count here
    found = modules()
    before = {name: sys.modules[name] for name in found if name in sys.modules}
    sys.modules.update(found)
    try:
        yield found["cupy"]
    finally:
        for name in found:
            del sys.modules[name]
        sys.modules.update(before)
