"""Gradients as they are written against slopes, array by array: how far off, and the verdict."""

import itertools
import math

import numpy as np

from .adapted import Adapted
from .inside import gradients_in
from .numeric import directions_of, rounding_of, shaken
from .report import Row

TOLERANCE = {"complex": 1e-12, "central": 1e-7}  # relative to the largest of the array's gradient
ROUNDING = {"complex": 1e-13, "central": 1e-9}  # relative to the largest of all gradients
TINY = 1e-20  # a slope that is nothing but what the complex step, 1e-30, leaves of its own size


def roundings_of(layer, slopes, gradients):
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
        try:
            results = _results(layer, slopes, *changed)
        except Exception:
            if isinstance(layer, Adapted) and dtype is np.float32:
                continue  # their code makes arrays of float64 that do not go with others
            raise
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


def compare(gradients, slopes, roundings, report, entries, rng):
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
