"""Compare a layer's hand-written gradients with numerical ones, and say what was found."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..params import Params
from .compare import TOLERANCE, judge, measure, report_noise, unknown
from .explain import explain
from .inside import inputs_of_sublayers
from .numeric import random_params
from .protocol import forward_of, gradients_of, output_of, refuse, without_rng
from .report import Report
from .slopes import Slopes, directions_of


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
    Errors: ValueError for another method, mode or number of entries; TypeError for what is no
    layer, input or parameters; and what the layer itself raises.

    The gradient g of an array a is right if, for every direction u, Σ g · u is the slope of the
    loss along u. An entry is the direction that is 1 there and else 0.

    Where something is wrong, the layers inside are checked by themselves, down to the smallest one
    that is wrong alone; the report names it and the most likely cause.
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
        return _checked(layer, x, loss, params, Report(method, mode), seed, entries)


def _checked(layer, x, loss, params, report, seed, entries):
    rng = np.random.default_rng(seed)
    if x.dtype != np.float64:
        report.notes.append(f"x is {x.dtype}; checked in float64, as it has too few digits")
        x = x.astype(np.float64)
    params = random_params(layer, rng) if params is None else _given(params, report)
    if quiet := without_rng(layer):
        report.notes.append(f"checked as in evaluation, as it gets no rng: {', '.join(quiet)}")

    forward = forward_of(layer, seed)
    y = output_of(forward, params, x, report)
    if y is not None:
        dy = np.asarray(loss(y)[1] if loss else rng.standard_normal(y.shape))
        if dy.size > 1 and np.ptp(dy) == 0:
            report.notes.append("dy is the same everywhere, which softmax and layer norm ignore")
        slopes = Slopes(forward, params, x, dy, loss)
        gradients = gradients_of(layer, forward, params, x, dy, report)
        numeric = _compare(gradients, slopes, report, entries, rng)
    if not report.ok:
        options = dict(method=report.method, mode=report.mode, seed=seed, entries=entries)
        _find_culprits(layer, forward, params, x, loss, options, report)
        if y is not None and not report.culprits:
            explain(report, numeric, layer, slopes, entries)
    return report


def _given(params, report):
    """The caller's parameters in float64; notes those that may hide errors."""
    same = [name for name, leaf in params.named() if leaf.size > 1 and np.ptp(leaf) == 0]
    if same:
        report.notes.append(
            f"the same number everywhere, which hides errors behind it: {', '.join(same)}"
        )
    return params.astype(np.float64)


def _compare(gradients, slopes, report, entries, rng):
    """Add a Row for each array to the report; return {name: (analytic, numeric) slopes}."""
    arrays = {"x": slopes.x, **dict(slopes.params.named())}
    measured = {}
    for name, gradient in gradients.items():
        array = arrays[name]
        if gradient.shape != array.shape:
            report.problem(
                f"the gradient of {name} is {gradient.shape}, but {name} is {array.shape}"
            )
        elif array.size:
            directions = directions_of(array, report.mode, entries, rng)
            measured[name] = measure(name, array, gradient, directions, slopes, report)
    found = [each.numeric for each in measured.values() if each]
    largest = max((float(np.abs(a).max()) for a in [slopes.dy, *found]), default=0.0)
    if report.method == "central":
        report_noise(slopes, report)
    pairs = {}
    for name, each in measured.items():
        if each is None:
            report.rows.append(unknown(name, arrays[name].shape))
            continue
        row, numeric = judge(each, slopes, report, largest if np.isfinite(largest) else 0.0)
        report.rows.append(row)
        pairs[name] = each.analytic, numeric
    sampled = [r.name for r in report.rows if 0 < r.checked < math.prod(r.shape)]
    if sampled and report.mode == "full":
        report.notes.append(f"only {entries} entries were drawn of: {', '.join(sampled)}")
    return pairs


def _find_culprits(layer, forward, params, x, loss, options, report):
    """Put the smallest layers inside that are wrong by themselves into report.culprits."""
    for name, sub, sub_x in inputs_of_sublayers(layer, forward, params, x, loss):
        found = gradcheck(sub, sub_x, **options)
        if not found.ok:
            deeper = {f"{name}.{path}": culprit for path, culprit in found.culprits.items()}
            report.culprits |= deeper or {name: found}
