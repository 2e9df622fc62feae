"""Explain a wrong gradient with everything that the layer shows when it runs.

First come the gradients that the layer passes to the layers inside it: where the first of them is
wrong, what follows is wrong for that reason. Then comes each wrong gradient itself (`diagnose`). A
cause must explain the gradient at other numbers as well, in the same words, or it is not said.

Where there is none, the layer is tried under other circumstances: with the loss of one image or one
number alone, with parameters of one, with a small input. A circumstance in which the gradient is
right shows where it is wrong.
"""

import contextlib
import functools
import math

import numpy as np

from ..params import Params
from .diagnose import Mismatch, diagnose, where_it_is_wrong
from .inside import all_sublayers, arrays_of, backward_of, gradients_in, replaced, watched
from .numeric import Slopes, directions_of, fits
from .report import UNKNOWN


def explain(report, layer, slopes, entries):
    """Give the wrong rows of a report their cause; no layer inside may be wrong on its own.

    entries: the size of the largest array that is looked at whole
    """
    elsewhere = slopes.elsewhere()
    if kept := _kept(layer, elsewhere):
        report.problem(f"a pass keeps {kept} on self: what backward needs belongs in the cache")
        return
    wrong = {row.name: row for row in report.rows if row.verdict == "WRONG"}
    whole = {
        name: np.reshape(row.compared, (2, *row.shape))
        for name, row in wrong.items()
        if row.index is not None and row.checked == math.prod(row.shape)
    }
    behind, received, causes = _causes(layer, slopes, whole, entries)
    if causes or received:
        there = _compared(layer, elsewhere, whole)
        _, received_there, causes_there = _causes(layer, elsewhere, there, entries)
        if received and received_there:
            cause = received[1] if received == received_there else UNKNOWN
            report.upstream = (
                f"{received[0]} receives a wrong gradient from {type(layer).__name__}: {cause}"
            )
    for name, row in wrong.items():
        if report.upstream and (name == "x" or name.startswith(behind)):
            continue  # it is wrong because of that
        if name in whole:
            cause = causes[name]
            if cause == UNKNOWN or cause != causes_there[name]:
                cause = _observation(name, layer, (slopes, elsewhere), (whole[name], there[name]))
        else:
            cause = diagnose(_mismatch(layer, slopes, name, *row.compared), whole=False)
        if cause != UNKNOWN or not report.upstream:
            row.cause = cause


def _causes(layer, slopes, compared, entries):
    """What is wrong at these numbers, as far as `diagnose` can tell.

    compared: {name: (the gradient as written, as it should be)}
    Returns the beginnings of the names that are behind a wrong gradient, None or (name, cause) of
    the first layer inside that receives a wrong gradient, and {name: cause}.
    """
    forward, backward = arrays_of(layer, slopes.forward, slopes.params, slopes.x, slopes.dy)
    mismatch = functools.partial(_mismatch, layer, slopes, forward=forward, backward=backward)
    upstream = list(upstream_gradients(layer, slopes, entries))
    wrong = [each for each in upstream if not fits(*each[1:])]
    received = None
    if wrong:
        name, analytic, numeric = wrong[0]
        matches = (
            f"it is the gradient that {other} should receive"
            for other, _, right in upstream
            if analytic.shape == right.shape and fits(analytic, right)
        )
        cause = next(matches, None) or diagnose(mismatch(name, analytic, numeric))
        received = name, cause
    causes = {
        name: diagnose(mismatch(name, analytic, numeric))
        for name, (analytic, numeric) in compared.items()
    }
    return tuple(f"{name}." for name, _, _ in wrong), received, causes


def _mismatch(layer, slopes, name, analytic, numeric, **arrays):
    """A wrong gradient of a layer, with what helps to tell the cause."""
    shown = dict(x_shape=slopes.x.shape, heads=getattr(layer, "heads", None))
    return Mismatch(analytic, numeric, name=name, **shown, **arrays)


def _kept(layer, slopes):
    """The names of the arrays on a layer, or on those inside, that a pass changes; "" for none."""

    def arrays():
        for path, sub in [("", layer), *all_sublayers(layer)]:
            for name, array in getattr(sub, "__dict__", {}).items():
                if isinstance(array, np.ndarray):
                    yield f"{path}.{name}".lstrip("."), array.tobytes()

    before = dict(arrays())
    _compared(layer, slopes, ())
    with contextlib.suppress(Exception):  # the layer may take no single image
        y, cache = slopes.forward(slopes.params, slopes.x[:1])
        gradients_in(layer, slopes.params, y, cache)
    return ", ".join(name for name, array in arrays() if before.get(name) != array)


def _compared(layer, slopes, names):
    """{name: (the gradient as written, as it should be)} at the numbers of `slopes`."""
    _, cache = slopes.forward(slopes.params, slopes.x)
    written = gradients_in(layer, slopes.params, slopes.dy, cache)
    return {name: (written[name], slopes.gradient(name)) for name in names}


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


def _observation(name, layer, both_slopes, both_compared):
    """Where the gradient is right, or what it is the gradient of; or else UNKNOWN.

    both: at the numbers of the check, and at others
    """
    slopes, (analytic, _) = both_slopes[0], both_compared[0]
    arrays = [arrays_of(layer, s.forward, s.params, s.x, s.dy)[0] for s in both_slopes]
    return (
        _of_a_part(name, analytic, slopes)
        or _diagonal(name, analytic, slopes)
        or where_it_is_wrong(both_compared, arrays)
        or _right_elsewhere(name, layer, slopes)
        or UNKNOWN
    )


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
    for circumstance, params, inputs in _circumstances(slopes.params, slopes.x):
        if all(_is_right(name, layer, slopes.forward, params, x, rng) for x in inputs):
            return f"it is right {circumstance}"


def _is_right(name, layer, forward, params, x, rng):
    try:  # a trial: the layer may take no such input
        y, cache = forward(params, x)
        dy = rng.standard_normal(y.shape)
        gradient = gradients_in(layer, params, dy, cache)[name]
    except Exception:
        return False
    return fits(gradient, Slopes(forward, params, x, dy, None).gradient(name))


def _circumstances(params, x):
    """Yield (a circumstance, parameters, inputs)."""
    if x.ndim > 1 and len(x) > 1:
        images = [x[i : i + 1] for i in range(len(x))]
        yield "for each image alone: look at what mixes the images of a batch", params, images
    if x.ndim > 2 and x.shape[1] > 1:
        tokens = [x[:, t : t + 1] for t in range(x.shape[1])]
        yield "for each token alone: look at what mixes the tokens of an image", params, tokens
    for name, leaf in params.named():
        if leaf.ndim == 1:
            ones = params.astype(np.float64)
            dict(ones.named())[name][...] = 1
            yield f"where {name} is 1 everywhere: look at where {name} enters", ones, [x]
    yield "where x is small: look at the terms that grow with x", params, [1e-9 * x]
