"""What every layer refuses: sizes that are no positive integers, and arrays that do not fit."""

import operator


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
