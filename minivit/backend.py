"""Which array module an array belongs to. The data decides the backend; there is no global switch.

This is the only file that names CuPy, and it never imports it: an array can only be a CuPy array if
somebody else has imported CuPy already, so looking it up in `sys.modules` is enough.
"""

import sys

import numpy


def array_module(x):
    """Return the module whose functions take `x`: cupy for a CuPy array, else numpy."""
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(x, cupy.ndarray):
        return cupy
    return numpy
