"""The cause of a wrong gradient, found with all that can be asked of the layer.

First the gradient itself is looked at (`diagnose`). Where that says nothing, the layer is tried
under other circumstances: with the loss of one image or one number alone, with a parameter that has
no effect, with a small input. A circumstance in which the gradient is right says where it is not.
"""

import dataclasses
import math

import numpy as np

from .diagnose import Mismatch, diagnose, diagnose_sample
from .fits import fits
from .handed import handed_on
from .inside import arrays_of
from .report import UNKNOWN
from .slopes import Slopes, directions_of


def explain(report, pairs, layer, slopes, entries):
    """Give the wrong rows of a report their cause; no layer inside is wrong by itself.

    pairs:   {name: (n, 2)} the hand-written and the numerical slopes that a row was made from
    entries: the largest array that is looked at whole
    """
    known = arrays_of(layer, slopes.forward, slopes.params, slopes.x, slopes.dy)
    handed = list(handed_on(layer, slopes, entries))
    wrong = [each for each in handed if not fits(*each[1:])]
    if wrong:
        name, analytic, numeric = wrong[0]
        anothers = [
            other
            for other, _, should in handed
            if analytic.shape == should.shape and fits(analytic, should)
        ]
        cause = f"it is what {anothers[0]} should be handed" if anothers else None
        cause = cause or diagnose(Mismatch(analytic, numeric, slopes.x.shape, name, *known))
        report.handed = f"{name} is handed a wrong gradient by {type(layer).__name__}: {cause}"
    spoilt = [f"{name}." for name, _, _ in wrong]  # what comes after it is wrong for that reason
    for place, row in enumerate(report.rows):
        if row.verdict == "WRONG" and not row.name.startswith(tuple(spoilt)):
            cause = _cause(row, pairs[row.name], layer, slopes, known)
            report.rows[place] = dataclasses.replace(row, cause=cause)


def _cause(row, pairs, layer, slopes, known):
    full = row.index is not None and row.checked == math.prod(row.shape)
    analytic, numeric = pairs.T.reshape(2, *(row.shape if full else [-1]))
    mismatch = Mismatch(analytic, numeric, slopes.x.shape, row.name, *known)
    cause = diagnose(mismatch) if full else diagnose_sample(mismatch)
    if full and cause == UNKNOWN:
        cause = _of_a_part(row.name, analytic, slopes) or _diagonal(row.name, analytic, slopes)
        cause = cause or _right_elsewhere(row.name, layer, slopes) or UNKNOWN
    return cause


def _gradient(name, slopes):
    """The numerical gradient of an array, whole."""
    array = slopes.array(name)
    directions = directions_of(array, "full", array.size, None)
    slope = [float(slopes.central(name, direction)) for _, direction in directions]
    return np.reshape(slope, array.shape)


def _of_a_part(name, gradient, slopes):
    """The cause, if the gradient is that of one image, token or row of dy alone."""
    dy = slopes.dy
    parts = {"image": (0,), "token": (slice(None), 0), "row": (0, 0)}
    for (part, first), all_of_them in zip(
        parts.items(), ("the batch", "the tokens", "batch and tokens"), strict=True
    ):
        for which in ("first", "last"):
            chosen = tuple(-1 if which == "last" and i == 0 else i for i in first)
            if name == "x" or dy.ndim <= len(chosen):
                continue
            alone = np.zeros_like(dy)
            alone[chosen] = dy[chosen]
            if fits(gradient, _gradient(name, slopes.with_dy(alone))):
                return (
                    f"it is that of the {which} {part} alone: it must be summed over {all_of_them}"
                )


def _diagonal(name, gradient, slopes):
    """The cause, if only the effect of every input on its own output was taken into account."""
    x, dy = slopes.x, slopes.dy
    if name != "x" or x.shape != dy.shape:
        return None
    own = np.zeros_like(x)
    for index, direction in directions_of(x, "full", x.size, None):
        own[index] = slopes.with_dy(dy * direction).central("x", direction)
    if fits(gradient, own):
        return (
            "only the diagonal of the Jacobian is there: each number's effect on its own output, "
            "not that on the others in its row"
        )


def _right_elsewhere(name, layer, slopes):
    """The cause, by a circumstance in which the same backward is right."""
    rng = np.random.default_rng(0)
    for circumstance, params, x in _circumstances(slopes.params, slopes.x):
        try:
            y, cache = slopes.forward(params, x)
        except ValueError:
            continue  # the layer takes no such input
        dy, grads = rng.standard_normal(y.shape), params.zeros_like()
        dx = layer.backward(params, dy, cache, grads)
        gradient = dx if name == "x" else dict(grads.named())[name]
        if fits(gradient, _gradient(name, Slopes(slopes.forward, params, x, dy, None))):
            return f"it is right {circumstance}"


def _circumstances(params, x):
    if x.ndim > 1 and len(x) > 1:
        words = "for a single image: what is wrong is how the images of a batch are put together"
        yield words, params, x[:1]
    if x.ndim > 2 and x.shape[1] > 1:
        words = "for a single token: what is wrong is how the tokens of an image are put together"
        yield words, params, x[:, :1]
    for name, leaf in params.named():
        for value in (1, 0):
            if leaf.ndim == 1:
                changed = params.astype(np.float64)
                dict(changed.named())[name][...] = value
                yield (
                    f"where {name} is {value} everywhere: {name} is left out or misplaced",
                    changed,
                    x,
                )
    yield "where x is small: a term that grows with x is wrong", params, 1e-6 * x
