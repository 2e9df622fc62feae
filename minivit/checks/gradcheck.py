"""Compare a layer's hand-written gradients with numerical ones, array by array."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..params import Params
from .adapted import Adapted, names_of
from .adapters import adapted
from .elsewhere import other_inputs, varied_params
from .explain import explain
from .inside import Loss, forward_of, watched
from .numeric import Slopes, constant_names, random_params, why_not_analytic
from .protocol import gradients_of, output_of, refuse, refuse_params, without_rng
from .report import Report
from .verdicts import TOLERANCE, compare, roundings_of


def gradcheck(
    layer: Any,
    x: Any,
    *arguments: Any,
    order: Sequence[str | None] | str | None = None,
    loss: Callable | None = None,
    params: Params | None = None,
    method: str | None = None,
    mode: str = "full",
    seed: int = 0,
    entries: int = 1000,
) -> Report:
    """Check hand-written gradients; return a Report.

    gradcheck(layer, x)                     a layer of minivit's protocol
    gradcheck(forward, backward, x, w, b)   two functions: forward(x, w, b) -> out, or (out, cache);
                                            backward(dout, cache) -> gradients, or the like
    gradcheck(f, grad, x0, ...)             a scalar function and its gradient
    gradcheck(f, x, ...)                    a function that returns its value and its gradients
    gradcheck(layer, x)                     an object with forward(x) and backward(dy) that keeps
                                            parameters, gradients and cache on itself
    gradcheck(Function, x, ...)             a torch.autograd.Function, or a torch.nn.Module

    Arguments
        layer:   an object with init, forward and backward, or only the last two if it has no
                 parameters, such as `minivit.layers.Attention(15, 3)`; or code as above
        x:       its input, of any float dtype; the check runs in float64
        arguments: what else the code takes; arrays of floats of which there is a gradient are
                 checked, and everything else is passed on as it is
        order:   whose gradients backward returns, such as ("x", "w", None), if it is not clear
        loss:    y -> (loss, dy), such as `lambda y: minivit.cross_entropy(y, labels)`; without it,
                 the loss is Σ y · dy with a random dy
        params:  Params to check a layer of the protocol at; without them, random ones (never the
                 initial values)
        method:  "complex", the complex step, exact to rounding; or "central" differences; without,
                 "complex", but "central" for code whose forward takes no complex numbers
        mode:    "full" compares entry by entry, and in arrays of more than `entries` numbers a
                 random sample; "directional" compares slopes along random directions
        seed:    of all random numbers, including those that the layer draws: a forward that takes
                 `rng` is checked as in training, with the same draws in every pass
    Errors: ValueError for an unknown method or mode, no entries, or an order that does not fit;
    TypeError for what is not a layer, input, loss or parameters; and whatever the layer itself
    raises.

    The gradient g of an array a is right if, for every direction u, Σ g · u is the slope of the
    loss along u. An entry is the direction that is 1 there and 0 elsewhere.

    What is right at x is tried at a larger or smaller x and, if the layer takes them, at more
    images and more tokens, along random directions.

    If something is wrong, the layers inside are checked on their own, down to the smallest one that
    is wrong; the report names it and the most likely cause.
    """
    if method not in (None, *TOLERANCE) or mode not in ("full", "directional") or entries < 1:
        raise ValueError(
            f'gradcheck: method must be "complex" or "central", mode "full" or "directional", '
            f"entries at least 1, got {method!r}, {mode!r} and {entries!r}"
        )
    # BLAS in threads is many times slower on the small complex products of a check.
    from threadpoolctl import threadpool_limits  # not needed by the engine

    with threadpool_limits(1, "blas"), adapted(layer, (x, *arguments), order, seed) as theirs:
        if theirs is None:
            x, method = np.array(x), method or "complex"
            refuse(layer, x, params, (*arguments, *(() if order is None else [order])))
        else:
            refuse_params(params)
            layer, x, params, loss = theirs, theirs.x, varied_params(theirs), loss or theirs.loss
            method = method or _method_for(theirs)
        report = _searched(layer, x, loss, params, method, mode, seed, entries)
        if theirs is not None:
            report.notes[:0] = theirs.notes
            for problem in theirs.problems:
                report.problem(problem)
        return report


def _method_for(theirs):
    """The complex step if somebody's forward takes complex numbers, or else central differences."""
    if not theirs.analytic:
        return "central"
    why = why_not_analytic(theirs.forward, theirs.params, theirs.x.astype(np.float64))
    if why is None:
        return "complex"
    theirs.analytic = False
    theirs.notes.append(
        f"forward takes no complex numbers ({why}): slopes by central differences of the best step"
    )
    return "central"


def _searched(layer, x, loss, params, method, mode, seed, entries):
    """The Report at x or, if that is right, at the first other input where it is not."""
    report = _checked(layer, x, loss, params, Report(method, mode), seed, entries)
    name = names_of(layer).x
    for where, other in other_inputs(layer, x) if report.ok else ():
        if _is_wrong(layer, other, loss, params, Report(method, "directional"), seed + 1):
            fresh = Report(method, mode)
            report = _checked(layer, other, loss, params, fresh, seed + 1, entries)
            report.notes.append(f"it is right at the {name} that was given, but not {where}")
            break
    return report


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
        name = names_of(layer).x
        report.notes.append(f"{name} is {x.dtype}, which has too few digits: checked in float64")
        x = x.astype(np.float64)
    if params is None:
        params = random_params(layer, rng)
    else:
        if constant := constant_names(params):
            report.notes.append(f"constant parameters hide errors: {', '.join(constant)}")
        params = params.astype(np.float64)
    if names := without_rng(layer):
        report.notes.append(
            f"these get no rng and are checked as in evaluation: {', '.join(names)}"
        )

    forward = forward_of(layer, seed)
    y = output_of(layer, forward, params, x, report)
    if y is not None:
        dy = _dy_of(loss, y) if loss else rng.standard_normal(y.shape)
        if dy.size > 1 and np.ptp(dy) == 0:
            report.notes.append(
                f"{names_of(layer).dy} is constant, which hides errors in softmax and layer norm"
            )
        slopes = Slopes(forward, params, x, dy, loss)
        gradients = gradients_of(layer, forward, params, x, dy, report)
        roundings = roundings_of(layer, slopes, gradients)
        broken = bool(report.problems)
        compare(gradients, slopes, roundings, report, entries, rng)
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


def _find_culprits(layer, forward, params, x, loss, report, seed, entries):
    """Put the smallest layers inside that are wrong on their own into report.culprits."""
    if isinstance(layer, Adapted):
        inside = [(name, sub, sub.x, varied_params(sub)) for name, sub in layer.inside(params, x)]
    else:
        with watched(layer) as calls:
            y, _ = forward(params, x)
        alone = [call for call in calls if not call.others and call.array.dtype.kind not in "iub"]
        inside = [(call.name, call.sub, call.array, None) for call in alone]
        if loss:
            inside.append(("loss", Loss(loss), y, None))
    for name, sub, sub_x, sub_params in inside:
        method = _method_for(sub) if isinstance(sub, Adapted) else report.method
        fresh = Report(method, report.mode)
        inner = _checked(sub, sub_x, None, sub_params, fresh, seed, entries)
        if not inner.ok:
            deeper = {f"{name}.{path}": culprit for path, culprit in inner.culprits.items()}
            report.culprits |= deeper or {name: inner}
