"""The rules that a layer must keep before its gradients can be compared with anything."""

import contextlib

import numpy as np

from .adapted import Adapted, names_of
from .inside import backward_of, sublayers, takes_rng
from .numeric import rounding_of, shaken


def refuse(layer, x, params, others=()):
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
            "grads), or without parameters forward(x) and backward(dy, cache); or other code in a "
            "form that help(minivit.gradcheck) shows"
        )
    if others:
        raise TypeError(
            f"gradcheck: {type(layer).__name__} is a layer of minivit's protocol, which takes one "
            "input x and adds its gradients to grads; it has no other arguments and no order"
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


def refuse_params(params):
    """Raise TypeError for parameters of what is no layer of the protocol."""
    if params is not None:
        raise TypeError(
            "gradcheck: params are for layers of minivit's protocol; other code is checked at the "
            "arrays that it is given, or that it holds"
        )


def without_rng(layer):
    """The names of layers inside that take an rng, in a layer that takes none to pass on."""
    names = []
    for name, sub in sublayers(layer):
        if takes_rng(sub) and not takes_rng(layer):
            names.append(name)
        names += [f"{name}.{deeper}" for deeper in without_rng(sub)]
    return names


def output_of(layer, forward, params, x, report):
    """Return y, or None, with a problem in the report, if y cannot be compared with anything."""
    with _unchanged("forward", _arguments_of(layer, params, x), report):
        output = forward(params, x)
    if not isinstance(output, tuple) or len(output) != 2 or not hasattr(output[0], "dtype"):
        kind = type(output[0] if isinstance(output, tuple) and output else output).__name__
        raise TypeError(
            f"gradcheck: forward returns {kind}; it must return two things, an array y and a cache"
        )
    returned, _ = output
    y = np.array(returned)
    again = np.array(forward(params, x)[0])
    with contextlib.suppress(ValueError):  # the layer may refuse such an input
        forward(params, _other(x))
    if y.dtype != np.float64:
        report.problem(f"forward returns {y.dtype} for float64: too few digits to compare")
    if not np.isfinite(y).all():
        report.problem("forward returns numbers that are not finite")
    elif not np.array_equal(y, again):
        report.problem(
            "two forward passes differ: "
            + (
                "np.random and random are seeded before each pass, but it draws from elsewhere"
                if isinstance(layer, Adapted)
                else "draw random numbers from an argument rng only"
            )
        )
    elif not np.array_equal(y, returned):
        report.problem("the next forward pass overwrites y: return a fresh array")
    elif _moves_in_steps(forward, params, x, y):
        report.problem("forward does not notice changes of 1e-10: somewhere it computes in float32")
    return None if report.problems else y


def _arguments_of(layer, params, x):
    """{name: array} of what no pass may change in place."""
    of_params = dict(params.named()) if isinstance(layer, Adapted) else {"params": params.flat}
    return {names_of(layer).x: x, **of_params}


def _other(x):
    """Another input of the same shape, in the same range."""
    return x[::-1] if x.ndim and len(x) > 1 else 0.5 * x


def _moves_in_steps(forward, params, x, y):
    """Whether y stands still under small changes though it moves under larger ones.

    float32 rounds changes of 1e-10 away, and keeps those of 1e-6. What does not move at all, such
    as the softmax of a single number, is no sign of it, nor what moves too little for float64.
    """
    try:
        coarse, _ = forward(params.astype(np.float32), x.astype(np.float32))
    except Exception:  # what takes float64 alone does not compute in float32
        return False
    hidden = 1e-12 * abs(y).max() + rounding_of(coarse, y, float(np.finfo(np.float32).eps))
    changes = (
        lambda size: (params, shaken(x, size)),
        lambda size: (params.of(shaken(params.flat, size)), x),
    )
    for change in changes:
        near, far = (forward(*change(size))[0] for size in (1e-10, 1e-6))
        sure = 1e-4 * abs(far - y) > hidden
        if sure.any() and (near == y)[sure].mean() > 0.5:
            return True
    return False


def gradients_of(layer, forward, params, x, dy, report):
    """Return {name: hand-written gradient}, x's first; report how backward breaks the protocol."""
    names, theirs = names_of(layer), isinstance(layer, Adapted)

    def other_pass():
        with contextlib.suppress(ValueError):  # the layer may refuse such an input
            _, cache = forward(params, _other(x))
            backward_of(layer)(params, 0.5 - dy, cache, params.zeros_like())

    def backward(grads, between=None):
        _, cache = forward(params, x)
        if between:
            between()
        arguments = {names.dy: dy, **_arguments_of(layer, params, x), "the cache": cache}
        with _unchanged("backward", arguments, report):
            dx = backward_of(layer)(params, dy, cache, grads)
        for name, leaf in grads.named():
            if leaf.base is not grads.flat and not theirs:
                report.problem(f"backward replaces grads {name!r}; it must add to it with +=")
        return {names.x: dx, **dict(grads.named())}

    gradients = backward(params.zeros_like())
    dx = gradients[names.x]
    if not isinstance(dx, np.ndarray):
        kind = type(gradients.pop(names.x)).__name__
        report.problem(
            f"backward returns {kind}; it must return d{names.x}, an array of {names.x}'s shape"
        )
        return gradients
    if dx.dtype != np.float64:
        report.problem(f"backward returns {dx.dtype} for float64: too few digits to compare")
    gradients[names.x] = dx.copy()
    if not _same(gradients, backward(params.zeros_like())):
        report.problem(
            "two backward passes differ: backward must use what forward drew (such as a mask in "
            "the cache) and not draw again"
        )
    elif not _same(gradients, backward(params.zeros_like(), between=other_pass)):
        report.problem(
            "another pass before backward changes the gradients: what backward needs belongs in "
            f"the cache, not {'in a global variable' if theirs else 'on self'}"
        )
    elif other_pass() or not _same(gradients, {names.x: dx}):
        report.problem(f"the next backward pass overwrites d{names.x}: return a fresh array")
    elif not report.problems:
        start = params.of(np.random.default_rng(0).standard_normal(params.flat.shape))
        grads = params.of(start.flat.copy())
        backward(grads)
        grads.flat -= start.flat  # leaves what was added
        for (name, added), (_, before) in zip(grads.named(), start.named(), strict=True):
            if np.allclose(added, gradients[name], 1e-9, 1e-9, equal_nan=True):
                continue
            if np.allclose(added + before, gradients[name], 1e-9, 1e-9, equal_nan=True):
                report.problem(f"backward assigns grads {name!r}; it must add to it with +=")
            else:
                report.problem(f"what backward adds to grads {name!r} depends on what is in it")
    shapes = {names.x: x.shape} | {name: leaf.shape for name, leaf in params.named()}
    for name in [name for name in gradients if gradients[name].shape != shapes[name]]:
        report.problem(
            f"the gradient of {name} has shape {gradients.pop(name).shape}, but {name} has shape "
            f"{shapes[name]}"
        )
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
        for name in b
    )
