"""The array's methods and operators, with CuPy's own signatures."""

import inspect

import numpy as np

from .calculation import UFUNCS, product, reduction
from .device import NAMES, checked_dtype, counts, fetched, ndarray, new, view
from .indexing import fill, getitem, nonzero, setitem, take


def bound(name, signature, implementation):
    """`implementation`, called with CuPy's signature; Python itself says what does not fit it.

    It may take fewer parameters than CuPy: the others must then be left at their defaults.
    """
    places = {}
    exec(f"def {name}{signature}: return locals()", places)
    arguments_of = places[name]
    defaults = {key: p.default for key, p in inspect.signature(arguments_of).parameters.items()}
    taken = set(inspect.signature(implementation).parameters)
    taken = set(defaults) if taken == {"given"} else taken

    def call(*args, **kwargs):
        given = arguments_of(*args, **kwargs)
        for key in given.keys() - taken:
            if given[key] is not defaults[key]:
                raise NotImplementedError(f"the stand-in for CuPy has no {key}= in {name} yet")
        return implementation(**{key: value for key, value in given.items() if key in taken})

    call.__name__ = name
    return call


def reshape(self, shape, order):
    """A view where the strides allow it, else a copy (_core/_routines_manipulation, _reshape)."""
    if order != "C":
        raise NotImplementedError(f"the stand-in for CuPy has no order={order!r} in reshape yet")
    host = self._host.reshape(*shape)
    shares = np.may_share_memory(host, self._host) or not self.size
    return view(self, host) if shares else new(host)


def astype(self, dtype, order, casting, subok, copy):
    """_core/core.pyx, _astype"""
    if casting is not None:
        raise TypeError("casting is not supported yet")
    if subok is not None:
        raise TypeError("subok is not supported yet")
    host = self._host.astype(checked_dtype(dtype), order or "K", copy=bool(copy))
    return self if host is self._host else new(host, order="K")


def repeat(self, repeats, axis):
    """_core/_routines_manipulation.pyx, _repeat: along an axis, a copy for each of its elements."""
    if isinstance(repeats, ndarray):
        raise ValueError("cupy.ndaray cannot be specified as `repeats` argument.")
    if axis is None and np.ndim(repeats):
        raise NotImplementedError("the stand-in for CuPy repeats by a list along an axis only")
    copies = 1 if axis is None else self.shape[axis]
    return new(np.repeat(self._host, repeats, axis), copies)


def get(self, order, out):
    """_core/core.pyx, get"""
    if order != "C" or out is not None:
        raise NotImplementedError("the stand-in for CuPy has no order= and out= in get yet")
    return fetched(self)


def set_(self, arr):
    """_core/core.pyx, set"""
    if not isinstance(arr, np.ndarray):
        raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
    if self.dtype != arr.dtype:
        raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
    if self.shape != arr.shape:
        raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
    if not (self._host.flags.c_contiguous or self._host.flags.f_contiguous):
        raise RuntimeError("Cannot set to non-contiguous array")
    self._host[...] = arr
    counts.bytes_in += arr.nbytes


def ravel(self):
    host = self._host.ravel()
    return view(self, host) if self._host.flags.c_contiguous else new(host)


def squeeze(self, axis):
    host = self._host.squeeze(axis)
    return view(self, host) if host.ndim < self.ndim else self


REDUCTIONS = ["all", "any", "argmax", "argmin", "max", "mean", "min", "prod", "std", "sum", "var"]

METHODS = {
    "astype": astype,
    "conj": lambda self: self if self.dtype.kind != "c" else UFUNCS["conjugate"](self),
    "copy": lambda self, order: astype(self, self.dtype, order, None, None, True),
    "dot": lambda self, b: product(self, b),
    "fill": fill,
    "flatten": lambda self: new(self._host.flatten()),
    "get": get,
    "item": lambda self: fetched(self).item(),
    "nonzero": nonzero,
    "ravel": ravel,
    "repeat": repeat,
    "reshape": reshape,
    "set": set_,
    "squeeze": squeeze,
    "swapaxes": lambda self, axis1, axis2: view(self, self._host.swapaxes(axis1, axis2)),
    "take": take,
    "tobytes": lambda self: fetched(self).tobytes(),
    "tolist": lambda self: fetched(self).tolist(),
    "transpose": lambda self, axes: view(self, self._host.transpose(*axes)),
    **{name: reduction(name) for name in REDUCTIONS},
}

OPERATORS = {  # and the functions they stand for (_core/core.pyx, __add__ and on)
    **{"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide"},
    **{"floordiv": "floor_divide", "mod": "remainder", "pow": "power", "matmul": "matmul"},
    **{"and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor"},
}
COMPARISONS = {
    **{"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"},
    **{"eq": "equal", "ne": "not_equal"},
}
UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}
CONVERSIONS = {"int": int, "float": float, "complex": complex, "repr": repr, "str": str}


def _operators():
    """Yield (name, method). As in CuPy, NumPy's functions are called and hand over to CuPy's."""
    for name, function in (OPERATORS | COMPARISONS).items():
        numpy_function = getattr(np, function)

        def forward(self, other, function=numpy_function):
            if getattr(other, "__array_ufunc__", True) is None:
                return NotImplemented  # _should_use_rop
            return function(self, other)

        def reflected(self, other, function=numpy_function):
            return function(other, self)

        def in_place(self, other, function=function):
            return UFUNCS[function](self, other, self)

        yield f"__{name}__", forward
        if name in OPERATORS:
            yield f"__r{name}__", reflected
            if name != "matmul":  # x @= y is x = x @ y
                yield f"__i{name}__", in_place
    for name, function in UNARY.items():
        yield f"__{name}__", lambda self, function=function: UFUNCS[function](self)
    for name, convert in CONVERSIONS.items():
        yield f"__{name}__", lambda self, convert=convert: convert(fetched(self))
    yield from {"__getitem__": getitem, "__setitem__": setitem, "__hash__": None}.items()
    for name, implementation in METHODS.items():
        yield name, bound(name, NAMES["methods"][name], implementation)


for _name, _function in _operators():
    setattr(ndarray, _name, _function)
