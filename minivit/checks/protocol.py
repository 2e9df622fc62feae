"""What a layer must keep to before its gradients can be compared with anything."""

import contextlib
import inspect

import numpy as np

from .inside import backward_of, has_params, sublayers


def refuse(layer, x, params):
    """Raise TypeError, saying what was expected, for what is no layer, input or parameters."""
    if isinstance(layer, type):
        raise TypeError(
            f"gradcheck: {layer.__name__} is a class; expected a layer, such as {layer.__name__}(…)"
        )
    missing = [m for m in ("forward", "backward") if not callable(getattr(layer, m, None))]
    if missing:
        raise TypeError(
            f"gradcheck: {type(layer).__name__} has no {' and no '.join(missing)}; expected a "
            "layer with init(rng, dtype), forward(params, x) and backward(params, dy, cache, "
            "grads), or without parameters forward(x) and backward(dy, cache)"
        )
    if x.dtype.kind != "f" or x.size == 0:
        raise TypeError(
            f"gradcheck: x is {x.dtype} of shape {x.shape}; expected floats, and at least one, as "
            "nothing has a slope along integers: x.astype(float)"
        )
    if params is not None and not hasattr(params, "named"):
        raise TypeError(
            f"gradcheck: params is {type(params).__name__}; expected minivit.Params(nest), or None "
            "to draw them"
        )


def forward_of(layer, seed):
    """The forward of a layer as forward(params, x), with parameters or without.

    One that draws random numbers draws the same in every pass.
    """
    draws = takes_rng(layer)

    def forward(params, x):
        rng = {"rng": np.random.default_rng(seed)} if draws else {}
        return layer.forward(params, x, **rng) if has_params(layer) else layer.forward(x, **rng)

    return forward


def takes_rng(layer):
    return "rng" in inspect.signature(layer.forward).parameters


def without_rng(layer):
    """The names of the layers inside that could draw, but get no rng from a layer that takes none.

    They are checked as in evaluation.
    """
    names = []
    for name, sub in sublayers(layer):
        if takes_rng(sub) and not takes_rng(layer):
            names.append(name)
        names += [f"{name}.{deeper}" for deeper in without_rng(sub)]
    return names


def output_of(forward, params, x, report):
    """Return y, or None if it cannot be compared with anything, for the reason in the report."""
    given = {"x": x, "params": params.flat}
    before = _copied(given)
    output = forward(params, x)
    if not isinstance(output, tuple) or len(output) != 2 or not hasattr(output[0], "dtype"):
        kind = type(output[0] if isinstance(output, tuple) and output else output).__name__
        raise TypeError(
            f"forward returns {kind}; it must return two things, an array y and a cache"
        )
    y, _ = output
    _report_changes("forward", before, given, report)
    again, _ = forward(params, x)
    if y.dtype != np.float64:
        report.problem(f"forward makes {y.dtype} of float64: too few digits to compare")
    if not np.isfinite(y).all():
        report.problem("forward gives numbers that are not finite")
    elif not np.array_equal(y, again):
        report.problem("two forward passes differ: fix what is random to compare them")
    elif _is_coarse(forward, params, x, y):
        report.problem("forward does not notice changes of 1e-10: it has float32 inside")
    return None if report.problems else y


def _is_coarse(forward, params, x, y):
    """Whether most of y stays the same, to the last bit, when all of x changes a very little."""
    near, _ = forward(params, x + 1e-10 * (1 + abs(x)))
    same = (near == y)[y != 0] if near.shape == y.shape else np.zeros(1)
    return same.size > 0 and same.mean() > 0.5


def gradients_of(layer, forward, params, x, dy, report):
    """Return {name: hand-written gradient}, "x" first; report how backward breaks the protocol."""

    def backward(grads, between=None):
        _, cache = forward(params, x)
        if between is not None:
            with contextlib.suppress(ValueError):  # the layer may refuse such an input
                forward(params, between)
        given = {"dy": dy, "params": params.flat, "the cache": cache}
        before = _copied(given)
        dx = backward_of(layer)(params, dy, cache, grads)
        _report_changes("backward", before, given, report)
        for name, leaf in grads.named():
            if leaf.base is not grads.flat:
                report.problem(f"grads {name!r} is replaced; backward must add to it, with +=")
        return {"x": dx, **dict(grads.named())}

    gradients = backward(params.zeros_like())
    if not isinstance(gradients["x"], np.ndarray):
        kind = type(gradients.pop("x")).__name__
        report.problem(f"backward returns {kind}; it must return dx, an array of x's shape")
        return gradients
    if gradients["x"].dtype != np.float64:
        report.problem(f"backward makes {gradients['x'].dtype} of float64: too few digits")
    other = x[::-1] if x.ndim and len(x) > 1 else 0.5 * x
    if not _same(gradients, backward(params.zeros_like())):
        report.problem(
            "two backward passes differ: backward must use what forward drew (such as a mask in "
            "the cache) and not draw again"
        )
    elif not _same(gradients, backward(params.zeros_like(), between=other)):
        report.problem(
            "another forward pass before backward changes the gradients: what backward needs "
            "belongs in the cache, not on self"
        )
    elif not report.problems:
        start = params.zeros_like()
        start.flat[...] = np.random.default_rng(0).standard_normal(start.flat.shape)
        grads = start.astype(np.float64)
        backward(grads)
        grads.flat -= start.flat  # what was added
        for name, added in grads.named():
            if not np.allclose(added, gradients[name], rtol=1e-9, atol=1e-9, equal_nan=True):
                report.problem(f"grads {name!r} is assigned; backward must add to it, with +=")
    return gradients


def _copied(given):
    """{name: copies of all the arrays in it}."""
    return {name: [array.copy() for array in _arrays_in(value)] for name, value in given.items()}


def _report_changes(where, before, after, report):
    """Report what the pass `where` was given and has changed."""
    for name, copies in before.items():
        arrays = list(_arrays_in(after[name]))
        if len(arrays) != len(copies) or not all(
            a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
            for a, b in zip(arrays, copies, strict=True)
        ):
            report.problem(f"{where} changes {name} in place; it must leave it as it was")


def _arrays_in(value):
    """All the arrays in nested dicts, lists and tuples."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _arrays_in(part)


def _same(a, b):
    return all(
        a[name].shape == b[name].shape and np.allclose(a[name], b[name], 1e-9, 1e-12, True)
        for name in a
    )
