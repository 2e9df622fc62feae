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
from .inside import arrays_of, backward_of
from .report import UNKNOWN
from .slopes import Slopes, directions_of


def explain(report, pairs, layer, slopes, entries):
    """Give the wrong rows of a report their cause; no layer inside is wrong by itself.

    pairs:   {name: (analytic, numeric)} the slopes that a row was made from
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
        follows = wrong and (row.name == "x" or row.name.startswith(tuple(spoilt)))
        if row.verdict == "WRONG" and not follows:
            cause = _cause(row, pairs[row.name], layer, slopes, known)
            if cause != UNKNOWN or not wrong:
                report.rows[place] = dataclasses.replace(row, cause=cause)


def _cause(row, pairs, layer, slopes, known):
    full = row.index is not None and row.checked == math.prod(row.shape)
    analytic, numeric = np.reshape(pairs, (2, *(row.shape if full else [-1])))
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
    """The cause, if the gradient of a parameter is that of one image, token or row alone."""
    dy = slopes.dy
    parts = [  # what it is that of, which part of dy that is, over what it should be summed
        ("image", lambda place: (place,), "the batch"),
        ("token", lambda place: (slice(None), place), "the tokens"),
        ("row", lambda place: (place, place), "batch and tokens"),
    ]
    for part, chosen, all_of_them in parts:
        for which, place in {"first": 0, "last": -1}.items():
            if name == "x" or dy.ndim <= len(chosen(place)):
                continue
            alone = np.zeros_like(dy)
            alone[chosen(place)] = dy[chosen(place)]
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
    """An observation in place of a cause: where the same backward is right."""
    rng = np.random.default_rng(0)
    for circumstance, params, x in _circumstances(slopes.params, slopes.x):
        try:  # a trial: the layer may take no such input
            y, cache = slopes.forward(params, x)
            dy, grads = rng.standard_normal(y.shape), params.zeros_like()
            dx = backward_of(layer)(params, dy, cache, grads)
        except Exception:
            continue
        gradient = dx if name == "x" else dict(grads.named())[name]
        if fits(gradient, _gradient(name, Slopes(slopes.forward, params, x, dy, None))):
            return f"it is right {circumstance}"


def _circumstances(params, x):
    if x.ndim > 1 and len(x) > 1:
        yield "for a single image: look at what joins the images of a batch", params, x[:1]
    if x.ndim > 2 and x.shape[1] > 1:
        yield "for a single token: look at what joins the tokens of an image", params, x[:, :1]
    for name, leaf in params.named():
        if leaf.ndim == 1:
            ones = params.astype(np.float64)
            dict(ones.named())[name][...] = 1
            yield f"where {name} is 1 everywhere: look at where {name} enters", ones, x
    yield "where x is small: look at the terms that grow with x", params, 1e-6 * x
