"""Calculations: functions of each element, reductions, products of matrices."""

import numpy as np

from .device import NAMES, counts, memory_of, ndarray, new, on_host


class ufunc:
    """A function of each element (_core/_kernel.pyx, ufunc.__call__)."""

    def __init__(self, name):
        self.name, self.nin, self.nout = NAMES["ufuncs"][name]
        self.function = getattr(np, name)

    def __call__(self, *args, **kwargs):
        out = kwargs.pop("out", None)
        if "_where" in kwargs:
            raise NotImplementedError("the stand-in for CuPy has no _where= yet")
        options = {key: kwargs.pop(key) for key in ("dtype", "casting") if key in kwargs}
        if kwargs:
            raise TypeError(f"Wrong arguments {kwargs}")
        if not self.nin <= len(args) <= self.nin + 1:
            raise TypeError(
                f"Wrong number of arguments for {self.name!r}. It must be either {self.nin} or "
                f"{self.nin + 1} (with outputs), but given {len(args)}."
            )
        inputs = [on_host(value) for value in args[: self.nin]]
        if len(args) > self.nin:
            if out is not None:
                raise ValueError("Cannot specify 'out' as both a positional and keyword argument")
            out = args[-1]
        if isinstance(out, tuple):
            if len(out) != 1:
                raise ValueError("The 'out' tuple must have exactly one entry per ufunc output")
            (out,) = out
        if out is None:
            return new(self.function(*inputs, **options))
        if not isinstance(out, ndarray):  # _get_out_args_from_optionals
            on_host(out)
            raise TypeError("Output arguments type must be cupy.ndarray")
        # An input that shares memory with the output is copied, unless it is the output itself.
        arrays = [value for value in args[: self.nin] if isinstance(value, ndarray)]
        copies = sum(x is not out and np.may_share_memory(x._host, out._host) for x in arrays)
        self.function(*inputs, out=out._host, **options)
        counts.calls += 1 + copies if out.size else 0
        return out

    def __getattr__(self, name):
        if name in ("outer", "at", "reduce", "accumulate", "reduceat"):
            raise NotImplementedError(f"the stand-in for CuPy has no ufunc.{name} yet")
        raise AttributeError(f"'cupy._core._kernel.ufunc' object has no attribute {name!r}")


def _ufuncs():
    """Yield (name, ufunc), of those whose types of results are NumPy's wherever NumPy has one.

    Functions that return several arrays are not here yet, nor the logical ones: NumPy's take
    complex numbers, CuPy's do not.
    """
    for name, (_, nin, nout) in NAMES["ufuncs"].items():
        function = getattr(np, name, None)
        is_ufunc = isinstance(function, np.ufunc) and not name.startswith("logical_")
        if is_ufunc and (function.nin, function.nout) == (nin, nout) and nout == 1:
            yield name, ufunc(name)


UFUNCS = dict(_ufuncs())


def reduction(name):
    """A function of all elements along axes, such as sum: one call (_core/_reduction.pyx)."""

    def reduce(a, axis, out, keepdims, **options):
        options |= dict(axis=axis, keepdims=bool(keepdims))
        if out is None:
            return new(getattr(np, name)(a._host, **options))
        getattr(np, name)(a._host, out=memory_of(out, "out"), **options)
        counts.calls += 1
        return out

    if "dtype" not in NAMES["methods"][name] or name.startswith("arg"):
        return lambda self, axis, out, keepdims: reduce(self, axis, out, keepdims)
    return lambda self, axis, dtype, out, keepdims: reduce(self, axis, out, keepdims, dtype=dtype)


def product(a, b, out=None):
    """_core/_routines_linalg.pyx, matmul: cuBLAS takes only some layouts, the others are copied."""
    a, b = memory_of(a, "a"), memory_of(b, "b")
    host = np.matmul(a, b)
    if host.dtype.kind in "biu":
        raise NotImplementedError("the stand-in for CuPy has no products of integers yet")
    ndim = max(a.ndim, b.ndim)

    def fits(x):
        contiguous = x.flags.c_contiguous or (ndim <= 2 and x.flags.f_contiguous)
        return contiguous and x.dtype == host.dtype

    calls = 1 + (not fits(a)) + (not fits(b))
    if not a.size or not b.size:
        calls = 1  # a fill with zeros
    elif ndim <= 2 and host.size == 1:
        calls = 2  # an element-wise product and its sum
    elif ndim > 2 and stack_of(a, ndim) != stack_of(b, ndim):
        calls += 3 * (ndim - 2)  # a list of pointers to the matrices, for a, b and the product
    if out is None:
        return new(host, calls)
    if out.shape != host.shape:
        raise ValueError("Output array has an invalid size")
    shared = any(fits(x) and np.may_share_memory(x, out._host) for x in (a, b))
    if shared or not out._host.flags.c_contiguous:
        calls += 1  # written elsewhere, then copied
    out._host[...] = host
    counts.calls += calls
    return out


def stack_of(x, ndim):
    """The shape of a stack of matrices, one of which a vector or a matrix alone is."""
    return ((1,) * ndim + x.shape[:-2])[-(ndim - 2) :]


def matmul(args, out):
    """linalg/_product.py, _try_fastcall_matmul; what goes on to _core/_gufuncs.py is not here."""
    if out is not None:
        if not isinstance(out, ndarray):
            raise TypeError("`out` must be a tuple or `cupy.ndarray`")
        if not all(isinstance(x, ndarray) and x.dtype == out.dtype for x in args):
            product(*args)  # which refuses other things than arrays
            raise NotImplementedError("the stand-in for CuPy has no out= of another dtype yet")
    return product(*args, out)
