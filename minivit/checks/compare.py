"""One array's gradient beside its numerical slopes, and the verdict."""

import math

import numpy as np

from .report import Row

TOLERANCE = {"complex": 1e-12, "central": 1e-7}  # relative to the largest of the array's gradient
ROUNDING = {"complex": 1e-13, "central": 1e-9}  # relative to the largest of all, dy included


def compare(name, array, gradient, directions, slopes, report, largest):
    """Return the Row of one array, and the pairs (analytic, numeric) that it was made from.

    A comparison that is worth nothing is told apart from a wrong gradient.
    """
    numeric = getattr(slopes, report.method)
    found = []
    for index, direction in directions:
        try:
            slope = float(numeric(name, direction))
        except (TypeError, np.exceptions.ComplexWarning) as error:
            report.problem(f'forward is not analytic ({error}); use method="central"')
            return Row(name, array.shape, math.nan, None, math.nan, math.nan, "unknown", 0), None
        found.append((index, direction, float((gradient * direction).sum()), slope))
    pairs = np.array([pair[2:] for pair in found])
    scale = float(np.abs(pairs).max())
    rounding = ROUNDING[report.method] * largest
    allowed = TOLERANCE[report.method] * scale + rounding
    if report.method == "central":
        for place in np.flatnonzero(~(np.abs(pairs[:, 0] - pairs[:, 1]) <= allowed)):
            _, direction, analytic, slope = found[place]
            pairs[place, 1] = slopes.best_central(name, direction, analytic, slope)
    differences = np.abs(pairs[:, 0] - pairs[:, 1])
    worst = int(np.argmax(np.where(np.isnan(differences), np.inf, differences)))
    error = float(differences[worst] / scale) if scale else 0.0
    index, direction = found[worst][:2]
    analytic, slope = map(float, pairs[worst])
    if scale <= rounding:
        verdict = "structurally zero"
    elif differences[worst] <= allowed:
        verdict = "ok"
    else:
        verdict = _why(name, direction, slope, scale, slopes, report)
    return Row(name, array.shape, error, index, analytic, slope, verdict, len(found)), pairs


def _why(name, direction, slope, scale, slopes, report):
    """The verdict on a difference: a wrong gradient, or a forward that cannot be compared so."""
    if not np.isfinite(slope):
        return "not finite"
    if report.method == "complex":
        central = slopes.central(name, direction)
        if abs(central - slope) > 1e-4 * scale:
            report.problem(
                f"forward is not analytic in {name}: central differences give {central:.6g}, the "
                f'complex step {slope:.6g}; use method="central"'
            )
            return "not analytic"
    left, right = slopes.one_sided(name, direction)
    if abs(left - right) > 1e-2 * scale:
        report.problem(
            f"the loss has a kink in {name}: its slope is {left:.6g} on one side and {right:.6g} "
            "on the other; check at another seed"
        )
        return "a kink"
    return "WRONG"
