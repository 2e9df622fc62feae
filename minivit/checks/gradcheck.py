"""Compare a layer's hand-written gradients with numerical ones, and say what was found."""

import math

import numpy as np

from .compare import TOLERANCE, compare
from .explain import explain
from .inside import inputs_of_sublayers
from .numeric import random_params
from .protocol import forward_of, gradients_of, output_of
from .report import Report
from .slopes import Slopes, directions_of


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
        seed:    of all that is random, also of what the layer draws: a forward that takes `rng`
                 is checked as in training, with the same draws in every pass
    Errors: ValueError for another method or mode. What the layer does wrong is in the report.

    The gradient g of an array a is right if, for every direction u, Σ g · u is the slope of the
    loss along u. An entry is the direction that is 1 there and else 0.

    Where a gradient is wrong, the layers inside are checked by themselves, down to the smallest one
    that is wrong alone; the report names it and the most likely cause.
    """
    if method not in TOLERANCE or mode not in ("full", "directional"):
        raise ValueError(
            f'gradcheck: method must be "complex" or "central", mode "full" or "directional", '
            f"got {method!r} and {mode!r}"
        )
    rng, report = np.random.default_rng(seed), Report(method, mode)
    x = np.array(x)
    if x.dtype != np.float64:
        report.notes.append(f"x is {x.dtype}; checked in float64, as float32 has too few digits")
        x = x.astype(np.float64)
    if params is None:
        params = random_params(layer, rng)
    else:
        params = params.astype(np.float64)
        same = [name for name, leaf in params.named() if leaf.size > 1 and np.ptp(leaf) == 0]
        if same:
            report.notes.append(
                f"the same number everywhere, which hides errors behind it: {', '.join(same)}"
            )

    forward = forward_of(layer, seed)
    y = output_of(forward, params, x, report)
    if report.problems:
        return report
    dy = loss(y)[1] if loss else np.asarray(rng.standard_normal(y.shape))
    if dy.size > 1 and np.ptp(dy) == 0:
        report.notes.append("dy is the same everywhere, which softmax and layer norm ignore")
    gradients = gradients_of(layer, forward, params, x, dy, report)

    slopes = Slopes(forward, params, x, dy, loss)
    largest = max(np.abs(g).max(initial=0) for g in [dy, *gradients.values()])
    largest = float(largest) if np.isfinite(largest) else 0.0
    pairs = {}
    for name, array in {"x": x, **dict(params.named())}.items():
        gradient = gradients.get(name)
        if gradient is None:
            continue
        if gradient.shape != array.shape:
            report.problem(
                f"the gradient of {name} is {gradient.shape}, but {name} is {array.shape}"
            )
            continue
        directions = directions_of(array, mode, entries, rng)
        row, pairs[name] = compare(name, array, gradient, directions, slopes, report, largest)
        report.rows.append(row)
    sampled = [r.name for r in report.rows if mode == "full" and r.checked < math.prod(r.shape)]
    if sampled:
        report.notes.append(f"only {entries} entries were drawn of: {', '.join(sampled)}")
    if any(row.verdict == "WRONG" for row in report.rows):
        options = dict(method=method, mode=mode, seed=seed, entries=entries)
        _find_culprits(layer, forward, params, x, loss, options, report)
        if not report.culprits:
            explain(report, pairs, layer, slopes, entries)
    return report


def _find_culprits(layer, forward, params, x, loss, options, report):
    """Put the smallest layers inside that are wrong by themselves into report.culprits."""
    inside = inputs_of_sublayers(layer, forward, params, x, loss)
    for name, sub, sub_x in inside:
        found = gradcheck(sub, sub_x, **options)
        if not found.ok:
            deeper = {f"{name}.{path}": culprit for path, culprit in found.culprits.items()}
            report.culprits |= deeper or {name: found}
