"""What a layer must keep to before its gradients can be compared with anything."""

import copy
import inspect

import numpy as np


def forward_of(layer, seed):
    """layer.forward(params, x); one that draws random numbers draws the same in every pass."""
    if "rng" not in inspect.signature(layer.forward).parameters:
        return layer.forward
    return lambda params, x: layer.forward(params, x, rng=np.random.default_rng(seed))


def output_of(forward, params, x, report):
    """Return y; report what makes it useless for a comparison."""
    given = {"x": x, "params": params.flat}
    before = copy.deepcopy(given)
    y, _ = forward(params, x)
    _report_changes("forward", before, given, report)
    again, _ = forward(params, x)
    if y.dtype != np.float64:
        report.problem(f"forward makes {y.dtype} of float64: too few digits to compare")
    if not np.isfinite(y).all():
        report.problem("forward gives numbers that are not finite")
    elif not np.array_equal(y, again):
        report.problem("two forward passes differ: fix what is random to compare them")
    return y


def gradients_of(layer, forward, params, x, dy, report):
    """Return {name: hand-written gradient}, "x" first; report how backward breaks the protocol."""

    def backward(grads, between=None):
        _, cache = forward(params, x)
        if between is not None:
            forward(params, between)
        given = {"dy": dy, "params": params.flat, "the cache": cache}
        before = copy.deepcopy(given)
        dx = layer.backward(params, dy, cache, grads)
        _report_changes("backward", before, given, report)
        return {"x": dx, **dict(grads.named())}

    gradients = backward(params.zeros_like())
    if not isinstance(gradients["x"], np.ndarray):
        kind = type(gradients.pop("x")).__name__
        report.problem(f"backward returns {kind}; it must return dx, an array of x's shape")
        return gradients
    if not _same(gradients, backward(params.zeros_like())):
        report.problem(
            "two backward passes differ: backward must use what forward drew (such as a mask in "
            "the cache) and not draw again"
        )
    elif not _same(gradients, backward(params.zeros_like(), between=x[::-1] + 1)):
        report.problem(
            "another forward pass before backward changes the gradients: what backward needs "
            "belongs in the cache, not on self"
        )
    else:
        start = params.zeros_like()
        start.flat[...] = np.random.default_rng(0).standard_normal(start.flat.shape)
        grads = start.astype(np.float64)
        backward(grads)
        grads.flat -= start.flat  # what was added
        for name, added in grads.named():
            if not np.allclose(added, gradients[name], rtol=1e-9, atol=1e-9, equal_nan=True):
                report.problem(f"grads {name!r} is assigned; backward must add to it, with +=")
    return gradients


def _report_changes(where, before, after, report):
    """Report what the pass `where` was given and has changed."""
    for name, value in before.items():
        try:
            np.testing.assert_equal(after[name], value)
        except AssertionError:
            report.problem(f"{where} changes {name} in place; it must leave it as it was")


def _same(a, b):
    return all(
        a[name].shape == b[name].shape and np.allclose(a[name], b[name], 1e-9, 1e-12, True)
        for name in a
    )
