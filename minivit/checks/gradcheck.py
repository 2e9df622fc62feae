"""Compare a layer's hand-written gradients with numerical ones, array by array."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..params import Params
from .explain import explain
from .inside import Loss, forward_of, gradients_in, watched
from .numeric import Slopes, directions_of, random_params, rounding_of, shaken
from .protocol import gradients_of, output_of, refuse, without_rng
from .report import Report, Row

TOLERANCE = {"complex": 1e-12, "central": 1e-7}  # relative to the largest of the array's gradient
ROUNDING = {"complex": 1e-13, "central": 1e-9}  # relative to the largest of all gradients
MOST = 10_000  # numbers of an x with more images
TINY = 1e-20  # a slope that is nothing but what the complex step, 1e-30, leaves of its own size


def gradcheck(
    layer: Any,
    x: np.ndarray,
    *,
    loss: Callable | None = None,
    params: Params | None = None,
    method: str = "complex",
    mode: str = "full",
    seed: int = 0,
    entries: int = 1000,
) -> Report:
    """Check the gradients of anything that follows the layer protocol; return a Report.

    Arguments
        layer:   an object with init, forward and backward, or only the last two if it has no
                 parameters, such as `minivit.layers.Attention(15, 3)`
        x:       its input, of any float dtype; the check runs in float64
        loss:    y -> (loss, dy), such as `lambda y: minivit.cross_entropy(y, labels)`; without it,
                 the loss is Σ y · dy with a random dy
        params:  Params to check at; without them, random ones (never the initial values)
        method:  "complex", the complex step, exact to rounding; or "central" differences
        mode:    "full" compares entry by entry, and in arrays of more than `entries` numbers a
                 random sample; "directional" compares slopes along random directions
        seed:    of all random numbers, including those that the layer draws: a forward that takes
                 `rng` is checked as in training, with the same draws in every pass
    Errors: ValueError for an unknown method or mode or no entries; TypeError for what is not a
    layer, input, loss or parameters; and whatever the layer itself raises.

    The gradient g of an array a is right if, for every direction u, Σ g · u is the slope of the
    loss along u. An entry is the direction that is 1 there and 0 elsewhere.

    What is right at x is tried at a larger or smaller x and, if the layer takes them, at more
    images and more tokens, along random directions.

    If something is wrong, the layers inside are checked on their own, down to the smallest one that
    is wrong; the report names it and the most likely cause.
    """
    if method not in TOLERANCE or mode not in ("full", "directional") or entries < 1:
        raise ValueError(
            f'gradcheck: method must be "complex" or "central", mode "full" or "directional", '
            f"entries at least 1, got {method!r}, {mode!r} and {entries!r}"
        )
    x = np.array(x)
    refuse(layer, x, params)
    # BLAS in threads is many times slower on the small complex products of a check.
    from threadpoolctl import threadpool_limits  # not needed by the engine

    with threadpool_limits(1, "blas"):
        report = _checked(layer, x, loss, params, Report(method, mode), seed, entries)
        for where, other in _other_inputs(x) if report.ok else ():
            if _is_wrong(layer, other, loss, params, Report(method, "directional"), seed + 1):
                fresh = Report(method, mode)
                report = _checked(layer, other, loss, params, fresh, seed + 1, entries)
                report.notes.append(f"it is right at the x that was given, but not {where}")
                break
        return report


def _other_inputs(x):
    """Yield (where, x) for inputs that x stands for: of another size, of more images or tokens."""
    size, rng = abs(x).max(), np.random.default_rng(0)
    largest = 30 if size < 30 else 1
    if size > 0:
        yield f"where |x| goes up to {largest}", x * (largest / size)
    shapes = {}
    if x.ndim > 1:
        count = min(65, MOST * len(x) // x.size)
        shapes[f"for {count} images or rows"] = (count, *x.shape[1:])
    if x.ndim == 3:
        tokens = x.shape[1] + 9
        shapes[f"for {tokens} tokens"] = (len(x), tokens, x.shape[2])
    for where, shape in shapes.items():
        if math.prod(shape) > x.size:
            yield where, np.resize(x, shape) * rng.uniform(0.5, 1.5, shape)


def _is_wrong(layer, x, loss, params, report, seed):
    """Whether a gradient is wrong at an x that nobody asked for, and that may not fit."""
    try:
        _checked(layer, x, loss, params, report, seed, 1, explained=False)
    except Exception:
        return False
    return any(row.verdict == "WRONG" and row.error > 1e-6 for row in report.rows)


def _checked(layer, x, loss, params, report, seed, entries, explained=True):
    rng = np.random.default_rng([seed, 2])  # not [seed]: x may have been drawn with that
    if x.dtype != np.float64:
        report.notes.append(f"x is {x.dtype}, which has too few digits: checked in float64")
        x = x.astype(np.float64)
    if params is None:
        params = random_params(layer, rng)
    else:
        constant = [name for name, leaf in params.named() if leaf.size > 1 and np.ptp(leaf) == 0]
        if constant:
            report.notes.append(f"constant parameters hide errors: {', '.join(constant)}")
        params = params.astype(np.float64)
    if names := without_rng(layer):
        report.notes.append(
            f"these get no rng and are checked as in evaluation: {', '.join(names)}"
        )

    forward = forward_of(layer, seed)
    y = output_of(forward, params, x, report)
    if y is not None:
        dy = _dy_of(loss, y) if loss else rng.standard_normal(y.shape)
        if dy.size > 1 and np.ptp(dy) == 0:
            report.notes.append("dy is constant, which hides errors in softmax and layer norm")
        slopes = Slopes(forward, params, x, dy, loss)
        gradients = gradients_of(layer, forward, params, x, dy, report)
        roundings = _roundings(layer, slopes, gradients)
        broken = bool(report.problems)
        _compare(gradients, slopes, roundings, report, entries, rng)
        explained &= broken or any(
            not row.ok and row.verdict != "too coarse" for row in report.rows
        )
    if explained and not report.ok:
        _find_culprits(layer, forward, params, x, loss, report, seed, entries)
        if y is not None and not report.culprits:
            explain(report, layer, slopes, entries)
    return report


def _dy_of(loss, y):
    result = loss(y)
    if not isinstance(result, tuple) or len(result) != 2 or np.shape(result[1]) != y.shape:
        shapes = [np.shape(part) for part in result] if isinstance(result, tuple) else result
        raise TypeError(
            f"gradcheck: loss must return two things, its value and a gradient dy of shape "
            f"{y.shape}; got {shapes}"
        )
    return np.asarray(result[1])


def _roundings(layer, slopes, gradients):
    """{name: how far rounding may move the gradient}, and "loss": how far it may move the loss.

    Every number of a pass is rounded, and what follows may magnify that, such as layer norm where
    the features of a token are nearly equal. Changes of the last digits of all that goes in show by
    how much, in float64 and in float32, whose rounding is 2²⁹ times as large.
    """
    params, x = slopes.params, slopes.x
    exact = gradients | {"loss": slopes.value()}
    roundings = dict.fromkeys(exact, 0.0)
    for dtype, seed in itertools.product((np.float64, np.float32), range(3)):
        eps = float(np.finfo(dtype).eps)
        last_digits = eps if seed else 0.0  # equal tokens stay equal, once
        changed = (shaken(array, last_digits, seed).astype(dtype) for array in (params.flat, x))
        results = _results(layer, slopes, *changed)
        for name in exact:
            roundings[name] = max(roundings[name], rounding_of(results[name], exact[name], eps))
    return roundings


def _results(layer, slopes, flat, x):
    """The loss and all gradients of one pass."""
    params = slopes.params.of(flat)
    y, cache = slopes.forward(params, x)
    dy = slopes.dy.astype(x.dtype)
    loss, dy = slopes.loss(y) if slopes.loss else ((y * dy).sum(), dy)
    return {"loss": loss, **gradients_in(layer, params, dy, cache)}


def _compare(gradients, slopes, roundings, report, entries, rng):
    """Add a Row for each array to the report."""
    arrays = [slopes.dy, *gradients.values()]
    sizes = [np.abs(array).max(initial=TINY) for array in arrays]
    largest = float(max(filter(np.isfinite, sizes), default=0))
    for name, gradient in gradients.items():
        if gradient.size:
            directions = list(directions_of(gradient, report.mode, entries, rng))
            of_both = roundings[name], roundings["loss"]
            row = _judge(name, gradient, directions, slopes, report, largest, *of_both)
            report.rows.append(row)
    sampled = [r.name for r in report.rows if 0 < r.checked < math.prod(r.shape)]
    if sampled and report.mode == "full":
        report.notes.append(f"only {entries} random entries were checked of: {', '.join(sampled)}")


def _judge(name, gradient, directions, slopes, report, largest, rounding, loss_rounding):
    """Return the Row of one array.

    largest: of all gradients, to which the rounding of sums of them is in proportion
    rounding, loss_rounding: how far that may move the gradient, and the loss
    """
    rounding += ROUNDING[report.method] * largest
    analytic = np.array([float((gradient * direction).sum()) for _, direction in directions])
    slope = getattr(slopes, report.method)
    try:
        numeric = np.array([float(slope(name, direction)) for _, direction in directions])
    except (TypeError, np.exceptions.ComplexWarning) as why:
        report.problem(f'forward or loss is not analytic ({why}); use method="central"')
        return Row(name, gradient.shape, math.nan, None, math.nan, math.nan, "unknown", 0)
    scale = float(np.abs([analytic, numeric]).max())
    allowed = np.full(len(directions), TOLERANCE[report.method] * scale + rounding)
    if report.method == "central":
        for place in np.flatnonzero(~(np.abs(analytic - numeric) <= allowed)):
            _, direction = directions[place]
            numeric[place], error = slopes.best_central(name, direction, loss_rounding)
            allowed[place] += min(error, 1e-6 * (largest + 1e-6))
    differences = np.abs(analytic - numeric)
    worst = int(np.argmax(np.where(np.isnan(differences), np.inf, differences - allowed)))
    index, direction = directions[worst]
    numbers = float(analytic[worst]), float(numeric[worst])
    if scale <= rounding:
        verdict = "structurally zero"
    elif differences[worst] <= allowed[worst]:
        verdict = "ok"
    else:
        verdict = _why(name, direction, *numbers, slopes, report, loss_rounding)
    error = float(differences[worst] / scale) if scale else 0.0
    compared = analytic, numeric
    return Row(name, gradient.shape, error, index, *numbers, verdict, len(directions), compared)


def _why(name, direction, analytic, slope, slopes, report, loss_rounding):
    """The verdict on a difference: a wrong gradient, or a forward that cannot be compared so."""
    if not np.isfinite(slope):
        return "not finite"
    if report.method == "central" and _complex_agrees(name, direction, analytic, slopes):
        report.problem(
            f"central differences in {name} are off, by rounding or where the loss bends sharply; "
            'use method="complex", which agrees with backward'
        )
        return "too coarse"
    central = slopes.central(name, direction)
    left, right = slopes.one_sided(name, direction, step=1e-6)
    further_left, further_right = slopes.one_sided(name, direction, step=1e-5)
    scale = max(map(abs, (central, left, right, slope)))
    rounding = loss_rounding / 1e-6  # of slopes, at the smallest step
    # At a kink the slope jumps by the same at any step; on a curve, in proportion to the step.
    jump, further = right - left, further_right - further_left
    if abs(jump) > 1e-2 * scale + rounding and abs(further - jump) < 0.1 * abs(jump):
        report.problem(
            f"the loss has a kink in {name}: its slope is {left:.6g} on one side and {right:.6g} "
            "on the other; check at another x"
        )
        return "a kink"
    if report.method == "complex" and abs(central - slope) > 1e-4 * scale + rounding:
        report.problem(
            f"forward is not analytic in {name}: central differences give {central:.6g}, the "
            f'complex step {slope:.6g}; use method="central"'
        )
        return "not analytic"
    return "WRONG"


def _complex_agrees(name, direction, analytic, slopes):
    """Whether the complex step, if forward takes one, gives the analytic slope."""
    try:
        exact = float(slopes.complex(name, direction))
    except (TypeError, np.exceptions.ComplexWarning):
        return False
    analytic_forward = np.iscomplexobj(slopes.value(np.complex128))
    return analytic_forward and abs(exact - analytic) <= 1e-6 * abs(exact) + TINY


def _find_culprits(layer, forward, params, x, loss, report, seed, entries):
    """Put the smallest layers inside that are wrong on their own into report.culprits."""
    with watched(layer) as calls:
        y, _ = forward(params, x)
    inside = [(call.name, call.sub, call.array) for call in calls if not call.others]
    if loss:
        inside.append(("loss", Loss(loss), y))
    for name, sub, sub_x in inside:
        inner = _checked(sub, sub_x, None, None, Report(report.method, report.mode), seed, entries)
        if not inner.ok:
            deeper = {f"{name}.{path}": culprit for path, culprit in inner.culprits.items()}
            report.culprits |= deeper or {name: inner}
