"""Which array module an array belongs to, and the way to a GPU and back.

The data decides the backend; there is no global switch. This is the only file that names CuPy, and
it is imported only when somebody asks for a GPU: before that no array can be CuPy's, so looking
CuPy up in `sys.modules` is enough to tell.
"""

import sys
from typing import TypeAlias

import numpy

Array: TypeAlias = numpy.ndarray  # or CuPy's, which is used in the same way
INSTALL = "pip install 'cupy-cuda13x[ctk]>=14' (or 'cupy-cuda12x[ctk]>=14' for a driver of CUDA 12)"
CAUSES = {  # what CuPy says, and what it means
    "cudaErrorInsufficientDriver": "there is no NVIDIA driver, or it is too old for this CuPy; the "
    "command nvidia-smi shows which CUDA the driver knows",
    "cudaErrorNoDevice": "there is a driver but no GPU for it; the command nvidia-smi lists "
    "them, and the variable CUDA_VISIBLE_DEVICES may hide them",
}


def array_module(x):
    """Return the module whose functions take `x`: cupy for a CuPy array, else numpy."""
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(x, cupy.ndarray):
        return cupy
    return numpy


def special_functions(x):
    """Return the module of special functions that take `x`: SciPy's, or its twin of CuPy.

    Errors: ImportError if SciPy is not installed.
    """
    if array_module(x) is not numpy:
        import cupyx.scipy.special

        return cupyx.scipy.special
    try:
        import scipy.special
    except ImportError as error:
        raise ImportError(
            f"exact GELU needs SciPy, which cannot be imported ({_line(error)}): pip install scipy"
        ) from error
    return scipy.special


def device_of(x):
    """Where an array is: "cpu" or "cuda"."""
    return "cpu" if array_module(x) is numpy else "cuda"


def to_device(array, device):
    """Return the array on "cpu" or "cuda": a copy, or itself if it is there.

    Errors: ValueError for another device; those of `cuda`.
    """
    if device not in ("cpu", "cuda"):
        raise ValueError(f'a device is "cpu" or "cuda", got {device!r}')
    if device == device_of(array):
        return array
    return array.get() if device == "cpu" else cuda().asarray(array)


def beside(array, other):
    """Return a NumPy array where another array is: itself on the CPU, a copy on its GPU."""
    return array_module(other).asarray(array)


def floats(*numbers):
    """Return numbers and 0-d arrays, all on one device, as Python floats.

    Those on a GPU come in one copy, so the GPU is waited for only once.
    """
    xp = array_module(numbers[0])
    return [float(x) for x in numbers] if xp is numpy else xp.stack(numbers).get().tolist()


def usable_device(name):
    """The device that a name stands for: "cpu", "cuda", or "auto" for "cuda" where it works.

    Errors: those of `cuda`, for "cuda".
    """
    if name == "cpu":
        return name
    try:
        cuda()
    except (ImportError, OSError):
        if name == "cuda":
            raise
        return "cpu"
    return "cuda"


def use_gpu(number):
    """Compute on GPU `number` from now on, or again from the first, if there are not so many."""
    cupy = cuda()
    cupy.cuda.Device(number % cupy.cuda.runtime.getDeviceCount()).use()


def cuda():
    """Return CuPy, once a small product has shown that it works.

    Errors: ImportError if it cannot be imported or is too old; OSError if there is no driver, no
    GPU, or a library of CUDA is missing.
    """
    try:
        import cupy
    except ImportError as error:
        if error.name == "cupy":
            raise ImportError(f"cuda needs CuPy, which is not installed: {INSTALL}") from None
        raise ImportError(f"cuda needs CuPy, which cannot be imported: {_line(error)}") from error
    if not hasattr(cupy.ndarray, "mT"):
        raise ImportError(f"cuda needs CuPy 14 or newer, not {cupy.__version__}: {INSTALL}")
    try:
        ones = cupy.ones((2, 2), "float32")
        (ones @ ones + 1).get()  # loads cuBLAS and compiles a kernel
    except Exception as error:  # of many kinds, and whatever it is, CuPy cannot be used
        means = [meaning for name, meaning in CAUSES.items() if name in str(error)]
        raise OSError(f"cuda cannot be used: {means[0] if means else _line(error)}") from error
    return cupy


def _line(error):
    """What an error says, in one line: CuPy likes to say it in ten."""
    return " ".join(str(error).split())


def is_of_gpu(error):
    """Whether an error is CuPy's own: of the driver, of a CUDA library, or out of memory."""
    return type(error).__module__.partition(".")[0] in ("cupy", "cupy_backends")
