"""The most likely cause of a wrong gradient, in one sentence with its evidence.

Every cause is a guess at what the wrong gradient is *instead* of the right one: its transpose, a
multiple of it, the same numbers in other places, all of it but one term (terms.py). A guess that
fits to seven digits in every entry is hardly chance. The causes are tried from the plainest to the
subtlest.
"""

import dataclasses
import itertools
import math

import numpy as np

from . import terms
from .factors import name_of_factor
from .numeric import fits, misfits
from .report import UNKNOWN


@dataclasses.dataclass(frozen=True)
class Mismatch:
    """A wrong gradient and what is known about it.

    forward, backward: {name: array} of the two passes, to recognise terms by
    """

    analytic: np.ndarray  # the gradient as written
    numeric: np.ndarray  # as it should be, of the same shape
    x_shape: tuple  # of the layer's input, (B, T, D) or the like
    name: str = "x"  # of the array whose gradient it is, such as "qkv.w"
    forward: dict = dataclasses.field(default_factory=dict)
    backward: dict = dataclasses.field(default_factory=dict)
    heads: int | None = None  # of the layer, if it has any, to recognise √d by
    rates: dict = dataclasses.field(default_factory=dict)  # {name: number below one} of the layer
    # [[(name, number)]] to name a factor by, in place of the sizes of minivit's layers; the first
    # list that has a name is enough
    numbers: list = dataclasses.field(default_factory=list)
    indices: dict = dataclasses.field(default_factory=dict)  # {name: array of integers}
    always: tuple = ("dy", "x", "y")  # arrays by whose names a cause may always be told


def diagnose(mismatch, whole=True):
    """Return the cause as a sentence, or UNKNOWN.

    A sample of entries or directions is not the whole and shows neither places nor parts: then
    None if the cause is not among the plain ones.
    """
    if whole:
        return _first(mismatch, *PLAIN, *ARRANGEMENTS, *PARTS) or UNKNOWN
    return _first(mismatch, *PLAIN)


def _first(mismatch, *causes):
    return next(filter(None, (cause(mismatch) for cause in causes)), None)


def _zero(m):
    if not m.analytic.any():
        return "it is zero where it should not be: no gradient gets here"


def _should_be_zero(m):
    if np.abs(m.numeric).max() <= 1e-9 * np.abs(m.analytic).max():
        return "it should be zero: the loss does not depend on this array"


def _not_finite(m):
    if not np.isfinite(m.analytic).all():
        first = np.argwhere(~np.isfinite(m.analytic))[0].tolist()
        return f"it is not finite, first at {first}: a division by zero or an overflow"


def _few_digits(m):
    """Nearly right, and no more."""
    if np.abs(m.analytic - m.numeric).max() < 1e-4 * np.abs(m.numeric).max():
        return "it is right to a few digits only: a constant cut short, an eps, a clip or float32"


def _factor(m):
    factor = float((m.analytic * m.numeric).sum()) / (float((m.numeric**2).sum()) or 1.0)
    if factor and m.numeric.size > 1 and fits(m.analytic, factor * m.numeric):
        return f"it is {name_of_factor(factor, m)} times what it should be, in every entry"


def _transposed(m):
    if m.numeric.ndim == 2 and min(m.numeric.shape) > 1:
        if m.numeric.shape[0] == m.numeric.shape[1] and fits(m.analytic, m.numeric.T):
            return "it is the transpose of what it should be: swap the two factors of the product"
        if fits(m.analytic, m.numeric.T.reshape(m.numeric.shape)):
            return "it is the transpose, reshaped: reshape does not transpose, .T does"


def _moved(m):
    shape = m.numeric.shape
    for axes in itertools.permutations(range(m.numeric.ndim)):
        turned = m.numeric.transpose(axes)
        order = [axis for axis in axes if shape[axis] > 1]
        if order != sorted(order) and fits(m.analytic, turned.reshape(shape)):
            return f"its axes are in the wrong order, as after transpose{axes} and a reshape"
    if not fits(np.sort(m.analytic, axis=None), np.sort(m.numeric, axis=None)):
        return None
    for axis in range(m.numeric.ndim):
        right = np.moveaxis(m.numeric, axis, 0).reshape(shape[axis], -1)
        rows = np.moveaxis(m.analytic, axis, 0).reshape(shape[axis], -1)
        order = [int(np.abs(right - row).max(axis=1).argmin()) for row in rows]
        if sorted(order) == list(range(shape[axis])) and fits(rows, right[order]):
            return f"the slices along axis {axis} are permuted: they are in the order {order}"
    return (
        "its numbers are right but in the wrong places: a reshape, transposition or order that "
        "does not undo the forward's"
    )


def _one_mask(m):
    """The zeros of a random mask, in other places than the forward's."""
    passed, should_pass = m.analytic != 0, m.numeric != 0
    both = passed & should_pass
    elsewhere = both.any() and (passed & ~should_pass).any() and (should_pass & ~passed).any()
    if elsewhere and fits(m.analytic[both], m.numeric[both]):
        return "its zeros are in the wrong places: forward and backward use different masks"


def _summed_too_far(m):
    """A sum or mean over an axis that should stay, broadcast back over it."""
    all_axes = tuple(range(m.numeric.ndim))
    for axes in [*((axis,) for axis in all_axes), all_axes]:
        for word, total in (("summed", m.numeric.sum), ("averaged", m.numeric.mean)):
            flat = np.broadcast_to(total(axis=axes, keepdims=True), m.numeric.shape)
            if math.prod(m.numeric.shape[axis] for axis in axes) > 1 and fits(m.analytic, flat):
                where = f"axis {axes[0]}" if len(axes) == 1 else "all its axes"
                return f"it is {word} over {where} and should not be"


def _single_entries(m):
    """All but one or two entries of many are right."""
    wrong = np.argwhere(misfits(m.analytic, m.numeric)).tolist()
    if 0 < len(wrong) <= 2 and m.numeric.size >= 20:
        places = " and ".join(map(str, wrong))
        return f"it is right but for {places}"


def _one_in_each_row(m):
    """All but one entry in each row are right, such as those of the labels."""
    wrong = misfits(m.analytic, m.numeric)
    rows, columns = np.nonzero(wrong) if wrong.ndim == 2 else ([], [])
    if wrong.ndim == 2 and min(wrong.shape) > 2 and np.array_equal(rows, np.arange(len(wrong))):
        names = [name for name, index in m.indices.items() if np.array_equal(index, columns)]
        if (columns != columns[0]).any():
            those = names[0] if names else _places(columns, 0, "")
            return f"it is right but for one entry in each row, those of {those}"


def _repeated(m):
    """Rows of an index are right, such as of an embedding, but for those that it has twice."""
    if m.numeric.ndim > 1:
        wrong = misfits(m.analytic, m.numeric).any(axis=tuple(range(1, m.numeric.ndim)))
        for name, index in m.indices.items():
            rows, counts = np.unique(index, return_counts=True)
            if np.array_equal(np.flatnonzero(wrong), rows[counts > 1]) and (counts == 1).any():
                return (
                    f"only the rows that {name} has once are right: an index that comes again must "
                    "be added again, as np.add.at does"
                )


def _turned(m):
    """Every pair of features has the right length, as with rotary positions, and is turned."""
    if m.numeric.ndim > 1 and m.numeric.shape[-1] % 2 == 0:
        lengths = (np.hypot(a[..., ::2], a[..., 1::2]) for a in (m.analytic, m.numeric))
        if fits(*lengths) and not fits(np.abs(m.analytic), np.abs(m.numeric)):
            return (
                "pairs of features have the right length and the wrong angle: they are turned, or "
                "not turned back"
            )


def _rows(m):
    """Some slices along an axis are right and the others are not; what is wrong with those?"""
    wrong_entries = misfits(m.analytic, m.numeric)
    for axis in range(m.numeric.ndim):
        others = tuple(i for i in range(m.numeric.ndim) if i != axis)
        wrong = np.flatnonzero(wrong_entries.any(axis=others))
        count = m.numeric.shape[axis]
        right = np.delete(m.numeric, wrong, axis=axis)
        whole = np.take(wrong_entries, wrong, axis=axis).mean() > 0.5  # not here and there
        if right.any() and len(wrong) and whole:
            parts = [np.take(a, wrong, axis=axis) for a in (m.analytic, m.numeric)]
            inner = dataclasses.replace(m, analytic=parts[0], numeric=parts[1])
            cause = _first(inner, _zero, _should_be_zero, _factor, *ARRANGEMENTS)
            return (
                f"only {count - len(wrong)} of {count} slices along axis {axis} are right; the "
                f"wrong ones are {_places(wrong, count, m.name)}"
                + (f"; there, {cause}" if cause else "")
            )


def _places(wrong, size, name):
    """Indices in short; those of q, k and v by name."""
    numbers = ", ".join(map(str, wrong[:8])) + (", …" if len(wrong) > 8 else "")
    if "qkv" in name and size % 3 == 0:
        letters = [letter for i, letter in enumerate("qkv") if (wrong // (size // 3) == i).any()]
        return f"[{numbers}], which belong to {' and '.join(letters)}"
    return f"[{numbers}]"


PLAIN = (_zero, _not_finite, _should_be_zero, _few_digits, _factor)
ARRANGEMENTS = (_transposed, _moved, _one_mask)
PARTS = (
    _single_entries,
    _one_in_each_row,
    _repeated,
    terms.softmax_gone_wrong,
    terms.missing_factor,
    _turned,
    _rows,
    _summed_too_far,
    terms.uneven_factor,
    terms.missing_term,
    terms.other_product,
    terms.rest_has_the_wrong_sign,
)
