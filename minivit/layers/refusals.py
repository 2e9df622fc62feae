"""Checks of arguments and arrays, each with an error that says what was expected."""

import operator

from ..backend import device_of


def positive_integers(where, **sizes):
    """Return the sizes as Python integers; raise, naming the one that is not at least 1."""
    integers = []
    for name, size in sizes.items():
        try:
            integers.append(operator.index(size))
        except TypeError:
            raise TypeError(f"{where}: {name} must be an integer, got {size!r}") from None
        if size < 1 or isinstance(size, bool):
            raise ValueError(f"{where}: {name} must be at least 1, got {size!r}")
    return integers


def dim_and_heads(where, dim, heads):
    """Return both as Python integers; raise unless the heads share the width evenly."""
    dim, heads = positive_integers(where, dim=dim, heads=heads)
    if dim % heads:
        raise ValueError(
            f"{where}: dim {dim} is not divisible by heads {heads}; choose a multiple of it"
        )
    return dim, heads


def pair(where, name, value):
    """(height, width), of one number for both or of two; ValueError for anything else."""
    sides = value if isinstance(value, (tuple, list)) else (value, value)
    if len(sides) != 2:
        raise ValueError(f"{where}: {name} must be one number or (height, width), got {value!r}")
    return tuple(sides)


def expect_one_of(where, name, value, choices):
    """Raise ValueError unless the value is one of the choices."""
    if value not in choices:
        *others, last = [f'"{choice}"' if isinstance(choice, str) else choice for choice in choices]
        raise ValueError(f"{where}: {name} must be {', '.join(others)} or {last}, got {value!r}")


def expect_like(where, name, array, w):
    """Raise TypeError unless the array has the dtype of parameters `w`, and is where they are."""
    actual, dtype = getattr(array, "dtype", type(array).__name__), w.dtype
    if actual != dtype:
        raise TypeError(
            f"{where}: {name} are {actual}; expected an array of {dtype}, the parameters' dtype. "
            f"Raw pixels are normalised first: (pixels / 255 - mean) / std, as {dtype}"
        )
    if device_of(array) != device_of(w):
        raise TypeError(
            f"{where}: {name} are on {device_of(array)}, the parameters on {device_of(w)}; move "
            "one to the other with minivit.backend.to_device or params.to"
        )


def expect_shape(where, x, *expected):
    """Raise ValueError unless `x` has the expected shape.

    A number must be met exactly, a letter stands for any size, and a leading `...` for any number
    of axes.
    """
    sizes = expected[1:] if expected[0] is ... else expected
    axes_fit = x.ndim >= len(sizes) if expected[0] is ... else x.ndim == len(sizes)
    actual = x.shape[x.ndim - len(sizes) :]
    if not axes_fit or any(
        isinstance(s, int) and s != a for s, a in zip(sizes, actual, strict=True)
    ):
        wanted = ", ".join("..." if size is ... else str(size) for size in expected)
        raise ValueError(f"{where}: expected shape ({wanted}), got {tuple(x.shape)}")
