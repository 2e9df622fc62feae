"""The array, and all that passes between host and device: what is counted, and what is refused."""

import dataclasses
import json
import math
import sys
import types
import warnings

import numpy as np

from .names import PATH

NAMES = json.loads(PATH.read_text(encoding="utf-8"))
SCALARS = (bool, int, float, complex)


@dataclasses.dataclass
class Counts:
    """What was asked of the device, all of it since the stand-in was installed.

    calls             kernels, fills and library calls. Moving to and from the host is none
    synchronisations  times that the host waited for the device
    bytes_in          moved to the device
    bytes_out         moved to the host
    memory_limit      an array of more bytes than this cannot be made: OutOfMemoryError
    """

    calls: int = 0
    synchronisations: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    memory_limit: float = dataclasses.field(default=math.inf, compare=False, repr=False)

    def copy(self):
        return dataclasses.replace(self)

    def __sub__(self, before):
        mine, theirs = dataclasses.astuple(self)[:4], dataclasses.astuple(before)[:4]
        return Counts(*(now - then for now, then in zip(mine, theirs, strict=True)))


counts = Counts()


class OutOfMemoryError(MemoryError):
    """cuda/memory.pyx"""

    def __init__(self, size, total, limit=0):
        limited = f", limit set to: {limit:,} bytes" if limit else ""
        super().__init__(
            f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes{limited})."
        )


class CUDARuntimeError(RuntimeError):
    """cupy_backends/cuda/api/runtime.pyx"""

    def __init__(self, status):
        messages = {
            2: "cudaErrorMemoryAllocation: out of memory",
            35: "cudaErrorInsufficientDriver: "
            "CUDA driver version is insufficient for CUDA runtime version",
            100: "cudaErrorNoDevice: no CUDA-capable device is detected",
            101: "cudaErrorInvalidDevice: invalid device ordinal",
        }
        self.status = status
        super().__init__(messages[status])


class ndarray:
    """An array on the device: names and rules of CuPy's (_core/core.pyx, _ndarray_base)."""

    __module__ = "cupy"
    __slots__ = ("_host", "base")
    __array_priority__ = 100

    def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C"):
        if memptr is not None or strides is not None or order != "C":
            raise NotImplementedError("the stand-in for CuPy makes no array of given memory")
        self._host, self.base = new(np.empty(shape, checked_dtype(dtype)), calls=0)._host, None

    def __getattr__(self, name):
        if name in NAMES["methods"] or name in NAMES["attributes"]:
            raise NotImplementedError(f"the stand-in for CuPy has no ndarray.{name} yet")
        raise AttributeError(f"'ndarray' object has no attribute {name!r}")

    # What the host knows of an array.

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)

    @property
    def flags(self):
        flags = self._host.flags
        return types.SimpleNamespace(
            c_contiguous=flags.c_contiguous,
            f_contiguous=flags.f_contiguous,
            owndata=self.base is None,
        )

    def __len__(self):
        return len(self._host)

    # Views.

    @property
    def T(self):
        return view(self, self._host.T) if self.ndim >= 2 else self

    @property
    def mT(self):
        return view(self, self._host.mT)

    @property
    def real(self):
        return view(self, self._host.real) if self.dtype.kind == "c" else self

    @property
    def imag(self):
        is_complex = self.dtype.kind == "c"
        return view(self, self._host.imag) if is_complex else new(np.zeros_like(self._host))

    def __iter__(self):
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[index] for index in range(len(self)))

    # To the host: only when asked to in so many words.

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __bool__(self):
        if self.size == 0:
            warnings.warn(
                "The truth value of an empty array is ambiguous.", DeprecationWarning, stacklevel=2
            )
            return False
        return bool(fetched(self))

    def __format__(self, format_spec):
        return format(fetched(self), format_spec)

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    # NumPy's functions of an array are handed to CuPy's of the same name, which refuse NumPy's.

    def __array_ufunc__(self, function, method, *inputs, **kwargs):
        out = kwargs.get("out", ())
        if len(out) > 1:
            raise ValueError("The 'out' parameter must have exactly one array value")
        if out:
            kwargs["out"] = out[0]
        cupy = sys.modules["cupy"]
        try:
            instead = getattr(cupy, function.__name__)
            if method != "__call__":
                instead = getattr(instead, method)
        except AttributeError:
            return NotImplemented
        arrays = (ndarray, np.ndarray, np.generic)
        if not all(type(x) in SCALARS or isinstance(x, arrays) for x in (*inputs, *out)):
            return NotImplemented
        return instead(*inputs, **kwargs)

    def __array_function__(self, function, kinds, args, kwargs):
        module = sys.modules["cupy"]
        try:
            for name in function.__module__.split(".")[1:]:
                module = getattr(module, name)
            instead = getattr(module, function.__name__)
        except AttributeError:
            return NotImplemented
        if not all(issubclass(kind, (ndarray, np.ndarray)) for kind in kinds):
            return NotImplemented
        return instead(*args, **kwargs)


def new(host, calls=1, order="C"):
    """An array with memory of its own, in C order (_core/_kernel.pyx, _get_out_args), and a call.

    Nothing is launched for an array of no numbers (_core/_kernel.pyx, _contains_zero).
    """
    host = np.asarray(host, order=order)
    checked_dtype(host.dtype)
    if host.nbytes > counts.memory_limit:
        raise OutOfMemoryError(host.nbytes, 0, counts.memory_limit)
    counts.calls += calls if host.size else 0
    return wrapped(host, None)


def wrapped(host, base):
    array = object.__new__(ndarray)
    array._host, array.base = host, base
    return array


def view(array, host):
    """A view: its base is the array that owns the memory (_core/core.pyx, _view). No call."""
    return wrapped(host, array if array.base is None else array.base)


def on_host(value):
    """The memory of an array, or a scalar (_core/_scalar.pyx, CScalar); nothing else will do."""
    if isinstance(value, ndarray):
        return value._host
    if type(value) in SCALARS or isinstance(value, np.generic):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def memory_of(value, name):
    """The memory of what must be an array, as Cython says it of an argument."""
    if isinstance(value, ndarray):
        return value._host
    kind = str(type(value)).split("'")[1]
    raise TypeError(
        f"Argument {name!r} has incorrect type (expected cupy._core.core._ndarray_base, got {kind})"
    )


def sent(value, dtype=None):
    """An array made of what lies on the host (_core/core.pyx, _send_object_to_gpu)."""
    host = np.array(value, dtype)
    array = new(host, calls=not host.ndim)  # a single number travels with the call that fills it
    counts.bytes_in += array.nbytes if host.ndim else 0
    return array


def fetched(array):
    """A NumPy copy, for which the host waits (_core/core.pyx, get)."""
    if array.size:
        counts.calls += not array._host.flags.c_contiguous
        counts.synchronisations += 1
        counts.bytes_out += array.nbytes
    return np.array(array._host, order="C")


def checked_dtype(dtype):
    """_core/_dtype.pyx, get_dtype"""
    dtype = np.dtype(dtype)
    if dtype.char not in "?bhilqBHILQefdFD":
        raise ValueError(f"Unsupported dtype {dtype}")
    return dtype
