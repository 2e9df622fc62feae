"""The rules that a layer must keep before its gradients can be compared with anything."""

import contextlib

import numpy as np

from .inside import backward_of, sublayers, takes_rng


def refuse(layer, x, params):
    """Raise TypeError for what is not a layer, an input or parameters."""
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
            f"gradcheck: x is {x.dtype} of shape {x.shape}; expected at least one float, because "
            "integers have no slope: try x.astype(float)"
        )
    if params is not None and not hasattr(params, "named"):
        raise TypeError(
            f"gradcheck: params is {type(params).__name__}; expected minivit.Params(nest), or None "
            "for random parameters"
        )


def without_rng(layer):
    """The names of layers inside that take an rng, in a layer that takes none to pass on."""
    names = []
    for name, sub in sublayers(layer):
        if takes_rng(sub) and not takes_rng(layer):
            names.append(name)
        names += [f"{name}.{deeper}" for deeper in without_rng(sub)]
    return names


def output_of(forward, params, x, report):
    """Return y, or None, with a problem in the report, if y cannot be compared with anything."""
    with _unchanged("forward", {"x": x, "params": params.flat}, report):
        output = forward(params, x)
    if not isinstance(output, tuple) or len(output) != 2 or not hasattr(output[0], "dtype"):
        kind = type(output[0] if isinstance(output, tuple) and output else output).__name__
        raise TypeError(
            f"gradcheck: forward returns {kind}; it must return two things, an array y and a cache"
        )
    y, _ = output
    again, _ = forward(params, x)
    near, _ = forward(params, x + 1e-10 * (1 + abs(x)))
    same = (near == y)[y != 0]  # to the last bit
    if y.dtype != np.float64:
        report.problem(f"forward returns {y.dtype} for float64: too few digits to compare")
    if not np.isfinite(y).all():
        report.problem("forward returns numbers that are not finite")
    elif not np.array_equal(y, again):
        report.problem("two forward passes differ: draw random numbers from an argument rng only")
    elif same.size and same.mean() > 0.5:
        report.problem("forward does not notice changes of 1e-10: somewhere it computes in float32")
    return None if report.problems else y


def gradients_of(layer, forward, params, x, dy, report):
    """Return {name: hand-written gradient}, "x" first; report how backward breaks the protocol."""

    def backward(grads, between=None):
        _, cache = forward(params, x)
        if between is not None:
            with contextlib.suppress(ValueError):  # the layer may refuse such an input
                forward(params, between)
        arguments = {"dy": dy, "params": params.flat, "the cache": cache}
        with _unchanged("backward", arguments, report):
            dx = backward_of(layer)(params, dy, cache, grads)
        for name, leaf in grads.named():
            if leaf.base is not grads.flat:
                report.problem(f"backward replaces grads {name!r}; it must add to it with +=")
        return {"x": dx, **dict(grads.named())}

    gradients = backward(params.zeros_like())
    dx = gradients["x"]
    if not isinstance(dx, np.ndarray):
        kind = type(gradients.pop("x")).__name__
        report.problem(f"backward returns {kind}; it must return dx, an array of x's shape")
        return gradients
    if dx.dtype != np.float64:
        report.problem(f"backward returns {dx.dtype} for float64: too few digits to compare")
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
        start = np.random.default_rng(0).standard_normal(params.flat.shape)
        grads = params.zeros_like()
        grads.flat += start
        backward(grads)
        grads.flat -= start  # leaves what was added
        for name, added in grads.named():
            if not np.allclose(added, gradients[name], rtol=1e-9, atol=1e-9, equal_nan=True):
                report.problem(f"backward assigns grads {name!r}; it must add to it with +=")
    return gradients


@contextlib.contextmanager
def _unchanged(where, values, report):
    """Report which of the values {name: nest of arrays} change while this lasts."""
    before = {name: list(_bytes_of(nest)) for name, nest in values.items()}
    yield
    for name, nest in values.items():
        if list(_bytes_of(nest)) != before[name]:
            report.problem(f"{where} changes {name} in place; it must leave {name} unchanged")


def _bytes_of(value):
    """The bytes of all the arrays in nested dicts, lists and tuples."""
    if isinstance(value, np.ndarray):
        yield value.tobytes()
    elif isinstance(value, (dict, list, tuple)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _bytes_of(part)


def _same(a, b):
    return all(
        a[name].shape == b[name].shape and np.allclose(a[name], b[name], 1e-9, 1e-12, True)
        for name in a
    )
