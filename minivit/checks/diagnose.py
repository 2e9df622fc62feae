"""The most likely cause of a wrong gradient, in one sentence with its evidence.

Every cause is a guess at what the wrong gradient is *instead* of the right one: its transpose, a
multiple of it, the same numbers in other places. A guess that fits to six digits is hardly chance.
"""

import itertools
import math

import numpy as np

UNKNOWN = "the cause is not known: no multiple, rearrangement or part of what it should be"
FITS = 1e-5  # relative; central differences are that exact, and more


def diagnose(analytic, numeric, x_shape):
    """Return the cause as a sentence; the last resort is to say that it is not known.

    analytic, numeric: the whole gradient, as written and as it should be, of one shape
    x_shape:           of the layer's input, (B, T, D) or the like, to give a name to factors
    """
    causes = (_zero, _not_finite, _factor, _transposed, _moved, _rows, _constant_term)
    for cause in causes:
        sentence = cause(analytic, numeric, x_shape)
        if sentence:
            return sentence
    return UNKNOWN


def fits(a, b):
    """Whether a is b, but for what numerical slopes leave open."""
    scale = np.abs(b).max()
    return scale > 0 and np.abs(a - b).max() <= FITS * scale


def _zero(analytic, numeric, _):
    if not analytic.any():
        return "it is zero where it should not be: nothing is passed back to here"


def _not_finite(analytic, numeric, _):
    if not np.isfinite(analytic).all():
        bad = np.argwhere(~np.isfinite(analytic))[0].tolist()
        return f"it is not finite, first at {bad}: a division by zero or an overflow"


def _factor(analytic, numeric, x_shape):
    factor = float((analytic * numeric).sum() / (numeric**2).sum())
    if factor and fits(analytic, factor * numeric):
        return f"it is {_name(factor, x_shape)} times what it should be, in every entry"


def _name(factor, x_shape):
    """A factor by the name of what it is likely to be: 1/B, √d, −1, …"""
    sizes = {"B": x_shape[0], "D": x_shape[-1]}
    if len(x_shape) == 3:
        sizes |= {"T": x_shape[1], "B·T": x_shape[0] * x_shape[1]}
    known = {"−1": -1.0, "2": 2.0, "½": 0.5}
    for name, size in sizes.items():
        known |= {f"{name} = {size}": size, f"1/{name} = 1/{size}": 1 / size}
    for d in range(2, x_shape[-1] + 1):  # the width of a head divides D
        if x_shape[-1] % d == 0:
            known |= {f"√d = √{d}": math.sqrt(d), f"1/√d = 1/√{d}": 1 / math.sqrt(d)}
    names = [name for name, value in known.items() if math.isclose(factor, value, rel_tol=FITS)]
    return " or ".join(names) or f"{factor:.6g}"


def _transposed(analytic, numeric, _):
    if numeric.ndim == 2:
        if numeric.shape[0] == numeric.shape[1] and fits(analytic, numeric.T):
            return "it is the transpose of what it should be: swap the two factors of the product"
        if fits(analytic, numeric.T.reshape(numeric.shape)):
            return "it is the transpose, reshaped: reshape does not transpose, .T does"


def _moved(analytic, numeric, _):
    for axes in itertools.permutations(range(numeric.ndim)):
        turned = numeric.transpose(axes)
        if list(axes) != sorted(axes) and fits(analytic, turned.reshape(numeric.shape)):
            return f"its axes changed places, as by transpose{axes} before a reshape"
    if not fits(np.sort(analytic, axis=None), np.sort(numeric, axis=None)):
        return None
    for axis in range(numeric.ndim):
        rows = np.moveaxis(numeric, axis, 0).reshape(numeric.shape[axis], -1)
        found = np.moveaxis(analytic, axis, 0).reshape(numeric.shape[axis], -1)
        order = [int(np.abs(rows - row).max(axis=1).argmin()) for row in found]
        if fits(found, rows[order]):
            return f"the slices along axis {axis} are permuted: they stand in the order {order}"
    return "the right numbers stand in the wrong places: a reshape, or heads in another order"


def _rows(analytic, numeric, _):
    """Some slices along an axis are right and the others are not."""
    scale = np.abs(numeric).max()
    for axis in range(numeric.ndim):
        others = tuple(i for i in range(numeric.ndim) if i != axis)
        right = np.abs(analytic - numeric).max(axis=others) <= FITS * scale
        if right.any() and len(right) > 1:
            wrong = np.flatnonzero(~right).tolist()
            zero = not np.take(analytic, wrong, axis=axis).any()
            return (
                f"only {right.sum()} of {len(right)} slices along axis {axis} are right; wrong are "
                f"{_short(wrong)}" + (", which are zero" if zero else "")
            )


def _short(numbers):
    return str(numbers) if len(numbers) <= 8 else f"{str(numbers[:8])[:-1]}, …]"


def _constant_term(analytic, numeric, _):
    difference = analytic - numeric
    for axis in reversed(range(numeric.ndim)):
        mean = difference.mean(axis=axis, keepdims=True)
        if numeric.shape[axis] > 1 and fits(np.broadcast_to(mean, difference.shape), difference):
            return (
                f"a term is missing or too much that is the same all along axis {axis}, such as a "
                "mean"
            )
