"""One array's gradient beside its numerical slopes, and the verdict."""

import math
from typing import NamedTuple

import numpy as np

from .report import Row

TOLERANCE = {"complex": 1e-12, "central": 1e-7}  # relative to the largest of the array's gradient
ROUNDING = {"complex": 1e-14, "central": 1e-9}  # relative to the largest slope of all arrays


class Measured(NamedTuple):
    """The slopes of one array: index and direction of each, as written and as measured."""

    name: str
    shape: tuple
    indices: list
    directions: list
    analytic: np.ndarray
    numeric: np.ndarray


def measure(name, array, gradient, directions, slopes, report):
    """Return the Measured slopes of one array; None if its forward has none, as reported."""
    indices, chosen = zip(*directions, strict=True)
    try:
        numeric = [float(getattr(slopes, report.method)(name, direction)) for direction in chosen]
    except (TypeError, np.exceptions.ComplexWarning) as error:
        report.problem(f'forward or loss is not analytic ({error}); use method="central"')
        return None
    analytic = [float((gradient * direction).sum()) for direction in chosen]
    return Measured(name, array.shape, indices, chosen, np.array(analytic), np.array(numeric))


def judge(measured, slopes, report, largest):
    """Return the Row of one array, and its numerical slopes at the best of several steps.

    A comparison that is worth nothing is told apart from a wrong gradient.
    largest: of the slopes of all arrays, to which the rounding of a pass is in proportion
    """
    name, analytic, numeric = measured.name, measured.analytic, measured.numeric.copy()
    scale = float(np.abs([analytic, numeric]).max())
    rounding = ROUNDING[report.method] * largest
    allowed = TOLERANCE[report.method] * scale + rounding
    if report.method == "central":
        for place in np.flatnonzero(~(np.abs(analytic - numeric) <= allowed)):
            direction = measured.directions[place]
            numeric[place] = slopes.best_central(name, direction, analytic[place], numeric[place])
    differences = np.abs(analytic - numeric)
    worst = int(np.argmax(np.where(np.isnan(differences), np.inf, differences)))
    error = float(differences[worst] / scale) if scale else 0.0
    if scale <= rounding:
        verdict = "structurally zero"
    elif differences[worst] <= allowed:
        verdict = "ok"
    else:
        verdict = _why(name, measured.directions[worst], numeric[worst], slopes, report, largest)
    place = measured.indices[worst]
    numbers = float(analytic[worst]), float(numeric[worst])
    return Row(name, measured.shape, error, place, *numbers, verdict, len(analytic)), numeric


def report_noise(slopes, report):
    """Report that the loss is too large for differences of it to show its slopes."""
    value = abs(float(slopes.value()))
    noise = 10 * np.finfo(np.float64).eps * value / 1e-3  # at the largest of the steps
    if noise > 1e-6 * np.abs(slopes.dy).max(initial=0):
        report.problem(
            f"the loss is about {value:.3g}, so that its differences are rounded to {noise:.1g}: "
            'check at a smaller x, or with method="complex"'
        )


def unknown(name, shape):
    """The Row of an array whose slopes could not be measured."""
    return Row(name, shape, math.nan, None, math.nan, math.nan, "unknown", 0)


def _why(name, direction, slope, slopes, report, largest):
    """The verdict on a difference: a wrong gradient, or a forward that cannot be compared so."""
    if not np.isfinite(slope):
        return "not finite"
    central = slopes.central(name, direction)
    left, right = slopes.one_sided(name, direction)
    scale = max(map(abs, (central, left, right, slope)))
    if abs(left - right) > 1e-2 * scale and abs(left + right - 2 * central) <= 1e-2 * scale:
        report.problem(
            f"the loss has a kink in {name}: its slope is {left:.6g} on one side and {right:.6g} "
            "on the other; check at another x"
        )
        return "a kink"
    noise = ROUNDING["central"] * largest
    if report.method == "complex" and abs(central - slope) > 1e-4 * scale + noise:
        report.problem(
            f"forward is not analytic in {name}: central differences give {central:.6g}, the "
            f'complex step {slope:.6g}; use method="central"'
        )
        return "not analytic"
    return "WRONG"
