"""What every layer refuses: sizes that are no positive integers, and arrays that do not fit."""

import operator


def positive_integers(layer, **sizes):
    """Raise unless every size is an integer of at least 1, naming the one that is not."""
    for name, size in sizes.items():
        try:
            operator.index(size)
        except TypeError:
            raise TypeError(f"{layer}: {name} must be an integer, got {size!r}") from None
        if size < 1 or isinstance(size, bool):
            raise ValueError(f"{layer}: {name} must be at least 1, got {size!r}")


def expect_shape(layer, x, *expected):
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
        raise ValueError(f"{layer}: expected shape ({wanted}), got {tuple(x.shape)}")
