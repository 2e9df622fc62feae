"""Explain a wrong gradient with everything that the layer shows when it runs.

First come the gradients that the layer passes to the layers inside it: where the first of them is
wrong, what follows is wrong for that reason. Then comes each wrong gradient itself (`diagnose`).
Where that says nothing, the layer is tried under other circumstances: with the loss of one image or
one number alone, with parameters of one, with a small input. A circumstance in which the gradient
is right shows where it is wrong.
"""

import functools
import math

import numpy as np

from ..params import Params
from .diagnose import Mismatch, diagnose
from .inside import arrays_of, backward_of, replaced, watched
from .numeric import Slopes, directions_of, fits
from .report import UNKNOWN


def explain(report, layer, slopes, entries):
    """Give the wrong rows of a report their cause; no layer inside may be wrong on its own.

    entries: the size of the largest array that is looked at whole
    """
    forward, backward = arrays_of(layer, slopes.forward, slopes.params, slopes.x, slopes.dy)
    known = dict(x_shape=slopes.x.shape, heads=getattr(layer, "heads", None))
    mismatch = functools.partial(Mismatch, **known, forward=forward, backward=backward)
    upstream = list(upstream_gradients(layer, slopes, entries))
    wrong = [each for each in upstream if not fits(*each[1:])]
    if wrong:
        name, analytic, numeric = wrong[0]
        matches = (
            f"it is the gradient that {other} should receive"
            for other, _, right in upstream
            if analytic.shape == right.shape and fits(analytic, right)
        )
        cause = next(matches, None) or diagnose(mismatch(analytic, numeric, name=name))
        report.upstream = f"{name} receives a wrong gradient from {type(layer).__name__}: {cause}"
    behind = tuple(f"{name}." for name, _, _ in wrong)  # wrong because of what they receive
    for row in report.rows:
        follows = wrong and (row.name == "x" or row.name.startswith(behind))
        if row.verdict == "WRONG" and not follows:
            cause = _cause(row, layer, slopes, mismatch)
            if cause != UNKNOWN or not wrong:
                row.cause = cause


def upstream_gradients(layer, slopes, entries):
    """Yield (name, dy, dy as it should be) of the layers inside, in the order of the backward.

    The dy that a layer inside receives must be the gradient of the loss with respect to its output.
    Left out are layers that are not called once each way, or whose output has more than `entries`
    numbers.
    """
    with watched(layer) as calls:
        _, cache = slopes.forward(slopes.params, slopes.x)
        backward_of(layer)(slopes.params, slopes.dy, cache, slopes.params.zeros_like())
    for name in dict.fromkeys(call.name for call in calls if call.method == "backward"):
        own = [call for call in calls if call.name == name]
        if [call.method for call in own] != ["forward", "backward"]:
            continue
        (y, _), dy = own[0].result, own[1].array
        if y.shape == dy.shape and dy.size <= entries:
            yield name, dy, _gradient_of_output(own[0].sub, y.shape, slopes)


def _gradient_of_output(sub, shape, slopes):
    """The gradient of the loss with respect to the output of a layer inside."""
    params = Params({"all": slopes.params.nest, "added": np.zeros(shape)})

    def forward(params, x):
        def add(real, *arguments, **options):
            y, cache = real(*arguments, **options)
            return y + params["added"], cache

        with replaced(sub, "forward", add):
            return slopes.forward(params["all"], x)

    return Slopes(forward, params, slopes.x, slopes.dy, slopes.loss).gradient("added")


def _cause(row, layer, slopes, mismatch):
    whole = row.index is not None and row.checked == math.prod(row.shape)
    analytic, numeric = np.reshape(row.compared, (2, *(row.shape if whole else [-1])))
    cause = diagnose(mismatch(analytic, numeric, name=row.name), whole)
    if cause == UNKNOWN:
        cause = _of_a_part(row.name, analytic, slopes) or _diagonal(row.name, analytic, slopes)
        cause = cause or _right_elsewhere(row.name, layer, slopes) or UNKNOWN
    return cause


def _of_a_part(name, gradient, slopes):
    """The cause, if the gradient of a parameter is that of one image, token or row alone."""
    for which, i in {"first": 0, "last": -1}.items():
        for part, chosen in {"image": (i,), "token": (slice(None), i), "row": (i, i)}.items():
            dy = np.zeros_like(slopes.dy)
            if name != "x" and len(chosen) < dy.ndim:
                dy[chosen] = slopes.dy[chosen]
                if fits(gradient, slopes.with_dy(dy).gradient(name)):
                    return f"it is the gradient of the {which} {part} alone, not of all of them"


def _diagonal(name, gradient, slopes):
    """The cause, if only the effect of every input on its own output was taken into account."""
    if name == "x" and slopes.x.shape == slopes.dy.shape:
        own = np.zeros_like(slopes.x)
        for index, direction in directions_of(own, "full", own.size, None):
            own[index] = slopes.with_dy(slopes.dy * direction).central("x", direction)
        if fits(gradient, own):
            return (
                "it uses only the diagonal of the Jacobian: the effect of each number on its own "
                "output, not on the others in its row"
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
        if fits(gradient, Slopes(slopes.forward, params, x, dy, None).gradient(name)):
            return f"it is right {circumstance}"


def _circumstances(params, x):
    if x.ndim > 1 and len(x) > 1:
        yield "for a single image: look at what mixes the images of a batch", params, x[:1]
    if x.ndim > 2 and x.shape[1] > 1:
        yield "for a single token: look at what mixes the tokens of an image", params, x[:, :1]
    for name, leaf in params.named():
        if leaf.ndim == 1:
            ones = params.astype(np.float64)
            dict(ones.named())[name][...] = 1
            yield f"where {name} is 1 everywhere: look at where {name} enters", ones, x
    yield "where x is small: look at the terms that grow with x", params, 1e-6 * x
