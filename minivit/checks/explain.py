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
from .adapted import Adapted, names_of
from .diagnose import Mismatch, diagnose
from .inside import (
    all_sublayers,
    arrays_of,
    backward_of,
    gradients_in,
    locals_of,
    numbers_of,
    replaced,
    watched,
)  # fmt: skip
from .numeric import Slopes, fits
from .observations import forward_arrays, observation, where_it_is_wrong
from .report import UNKNOWN
from .steps import inner_gradients


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
            report.upstream = _first_wrong(layer, received[0], cause)
    for name, row in wrong.items():
        if (
            report.upstream
            and not isinstance(layer, Adapted)
            and (name == "x" or name.startswith(behind))
        ):
            continue  # it is wrong because of that
        if name in whole:
            cause, both = causes[name], (whole[name], there[name])
            if cause == UNKNOWN or cause != causes_there[name]:
                cause = observation(name, layer, (slopes, elsewhere), both)
            elif whole[name][0].ndim == 1 and cause.startswith("only "):  # what decides which?
                arrays = forward_arrays(layer, slopes, elsewhere)
                cause = where_it_is_wrong(both, arrays, names_of(layer)) or cause
        else:
            cause = diagnose(_mismatch(layer, slopes, name, *row.compared), whole=False)
        if cause != UNKNOWN or not report.upstream:
            row.cause = cause


def _first_wrong(layer, name, cause):
    if isinstance(layer, Adapted):
        return f"{name} is the first gradient inside backward that is wrong: {cause}"
    return f"{name} receives a wrong gradient from {type(layer).__name__}: {cause}"


def _causes(layer, slopes, compared, entries):
    """What is wrong at these numbers, as far as `diagnose` can tell.

    compared: {name: (the gradient as written, as it should be)}
    Returns the beginnings of the names that are behind a wrong gradient, None or (name, cause) of
    the first layer inside that receives a wrong gradient, and {name: cause}.
    """
    forward, backward = arrays_of(layer, slopes.forward, slopes.params, slopes.x, slopes.dy)
    mismatch = functools.partial(_mismatch, layer, slopes, forward=forward, backward=backward)
    if isinstance(layer, Adapted):
        upstream = list(inner_gradients(layer, slopes, entries, compared))
    else:
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
        name: _of_another(name, compared) or diagnose(mismatch(name, analytic, numeric))
        for name, (analytic, numeric) in compared.items()
    }
    return tuple(f"{name}." for name, _, _ in wrong), received, causes


def _of_another(name, compared):
    """The cause, if the gradient is that of another array: two of a shape are mixed up."""
    analytic, _ = compared[name]
    for other, (_, numeric) in compared.items():
        if other != name and analytic.shape == numeric.shape and fits(analytic, numeric):
            return f"it is the gradient of {other}"


def _mismatch(layer, slopes, name, analytic, numeric, **arrays):
    """A wrong gradient of a layer, with what helps to tell the cause."""
    own = getattr(layer, "__dict__", {}).items()
    rates = {key: value for key, value in own if isinstance(value, float) and 1e-3 < value < 1}
    shown = dict(x_shape=slopes.x.shape, heads=getattr(layer, "heads", None), rates=rates)
    in_forward, in_backward = locals_of(layer, slopes)
    shown["indices"] = {
        key: each
        for key, each in in_forward.items()
        if isinstance(each, np.ndarray) and each.dtype.kind in "iu"
    }
    if isinstance(layer, Adapted):
        shown["numbers"] = numbers_of(layer, slopes, in_backward | in_forward)
    if np.ndim(slopes.dy) == 0:  # that of a loss, without which terms are told
        analytic, numeric = analytic / slopes.dy, numeric / slopes.dy
    always = tuple(names_of(layer))
    return Mismatch(analytic, numeric, name=name, always=always, **shown, **arrays)


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
