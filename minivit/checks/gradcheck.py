"""Compare a layer's hand-written gradients with numerical ones, and say what was found."""

import math

import numpy as np

from .diagnose import UNKNOWN, diagnose, fits
from .numeric import random_params
from .report import Report, Row
from .slopes import Slopes, directions_of

TOLERANCE = {"complex": 1e-12, "central": 1e-7}  # relative to the largest of the array's gradient
ROUNDING = {"complex": 1e-13, "central": 1e-9}  # relative to the largest of all, dy included


def gradcheck(
    layer, x, *, loss=None, params=None, method="complex", mode="full", seed=0, entries=1000
):
    """Check the gradients of anything that follows the layer protocol; return a Report.

    Arguments
        layer:   has init, forward and backward, such as `minivit.layers.Attention(15, 3)`
        x:       its input, of any float dtype; the check runs in float64
        loss:    y -> (loss, dy), such as `lambda y: minivit.cross_entropy(y, labels)`; without it,
                 the loss is Σ y · dy with a random dy
        params:  Params to check at; without them, random ones (never the initial values)
        method:  "complex", the complex step, exact to rounding; or "central" differences
        mode:    "full" compares entry by entry, in arrays of more than `entries` numbers a random
                 sample of so many; "directional" compares slopes along random directions
        seed:    of all that is random
    Errors: ValueError for another method or mode. What the layer does wrong is in the report.

    The gradient g of an array a is right if, for every direction u, Σ g · u is the slope of the
    loss along u. An entry is the direction that is 1 there and else 0.
    """
    if method not in TOLERANCE or mode not in ("full", "directional"):
        raise ValueError(
            f'gradcheck: method must be "complex" or "central", mode "full" or "directional", '
            f"got {method!r} and {mode!r}"
        )
    rng, report = np.random.default_rng(seed), Report(method, mode)
    x = np.asarray(x)
    if x.dtype != np.float64:
        report.notes.append(f"x is {x.dtype}; checked in float64, as float32 has too few digits")
        x = x.astype(np.float64)
    if params is None:
        params = random_params(layer, rng)
    else:
        params = params.astype(np.float64)
        zero = [name for name, leaf in params.named() if not leaf.any()]
        if zero:
            report.notes.append(f"all zero, which hides errors behind them: {', '.join(zero)}")

    y, cache = layer.forward(params, x)
    again, _ = layer.forward(params, x)
    if y.dtype != np.float64:
        report.problem(f"forward makes {y.dtype} of float64: too few digits to compare")
    if not np.isfinite(y).all():
        report.problem("forward gives numbers that are not finite")
    elif not np.array_equal(y, again):
        report.problem("two forward passes differ: fix what is random to compare them")
    if report.problems:
        return report
    if loss is None:
        dy = rng.standard_normal(y.shape)
    else:
        dy = loss(y)[1]
        if dy.size > 1 and np.ptp(dy) == 0:
            report.notes.append("dy is the same everywhere, which softmax and layer norm ignore")

    arrays, gradients = _analytic(layer, params, x, dy, cache, rng, report)
    slopes = Slopes(layer, params, x, dy, loss)
    largest = max(np.abs(gradient).max(initial=0) for gradient in [dy, *gradients.values()])
    rounding = ROUNDING[method] * largest if np.isfinite(largest) else 0.0
    for name, array in arrays.items():
        gradient = gradients[name]
        if gradient.shape != array.shape:
            report.problem(
                f"the gradient of {name} is {gradient.shape}, but {name} is {array.shape}"
            )
            continue
        directions = directions_of(array, mode, entries, rng)
        report.rows.append(_compare(name, array, gradient, directions, slopes, report, rounding))
    sampled = [r.name for r in report.rows if mode == "full" and r.checked < math.prod(r.shape)]
    if sampled:
        report.notes.append(f"only {entries} entries were drawn of: {', '.join(sampled)}")
    return report


def _analytic(layer, params, x, dy, cache, rng, report):
    """{name: array} and {name: its gradient}; reports gradients that are not added to."""
    grads = params.zeros_like()
    dx = layer.backward(params, dy, cache, grads)
    spoilt = params.zeros_like()
    spoilt.flat[...] = before = rng.standard_normal(spoilt.flat.shape)
    layer.backward(params, dy, layer.forward(params, x)[1], spoilt)
    added = params.zeros_like()
    added.flat[...] = spoilt.flat - before
    gradients = dict(grads.named())
    for name, found in added.named():
        if not np.allclose(found, gradients[name], rtol=1e-9, atol=1e-9):
            report.problem(f"grads {name!r} is assigned; backward must add to it, with +=")
    return {"x": x, **dict(params.named())}, {"x": dx, **gradients}


def _compare(name, array, gradient, directions, slopes, report, rounding):
    """The Row of one array; a comparison that is worth nothing is told apart from a wrong one."""
    numeric = getattr(slopes, report.method)
    found = []
    for index, direction in directions:
        try:
            slope = float(numeric(name, direction))
        except (TypeError, np.exceptions.ComplexWarning) as error:
            report.problem(f'forward is not analytic ({error}); use method="central"')
            return Row(name, array.shape, math.nan, None, math.nan, math.nan, "unknown", 0)
        found.append((index, direction, float((gradient * direction).sum()), slope))
    pairs = np.array([pair[2:] for pair in found])
    scale = float(np.abs(pairs).max())
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
        verdict = _why(name, direction, analytic, slope, scale, slopes, report)
    cause = None
    if verdict == "WRONG" and index is not None and len(found) == array.size:
        cause = diagnose(gradient, pairs[:, 1].reshape(array.shape), slopes.x.shape)
        if cause == UNKNOWN and name != "x" and slopes.loss is None:
            cause = _one_image(name, gradient, slopes) or cause
    return Row(name, array.shape, error, index, analytic, slope, verdict, len(found), cause)


def _one_image(name, gradient, slopes):
    """The cause, if the gradient is that of a single image: it was not summed over the batch."""
    for image in (0, len(slopes.dy) - 1):
        alone = np.zeros_like(slopes.dy)
        alone[image] = slopes.dy[image]
        of_image = Slopes(slopes.layer, slopes.params, slopes.x, alone, None)
        directions = directions_of(gradient, "full", gradient.size, None)
        numeric = np.array([of_image.central(name, direction) for _, direction in directions])
        if fits(gradient.ravel(), numeric):
            return f"it is that of image {image} alone: it must be summed over the batch"
    return None


def _why(name, direction, analytic, slope, scale, slopes, report):
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
