"""What is inside a layer, found from outside: the arrays of a pass, and the sub-layers."""

import contextlib
import copy
import functools
import sys

import numpy as np


def arrays_of(layer, forward, params, x, dy):
    """The named arrays of one pass: {name: array} of the forward, {name: array} of the backward.

    Of the forward: dy, x, y, the layer's own parameters, its own entries of the cache, and its
    local variables as they stood at its end. Of the backward: its local variables, likewise. An
    array that has several names has the first of them.
    """
    (y, cache), local = _call(layer.forward, forward, params, x)
    known = {}
    _add(known, {"dy": dy, "x": x, "y": y}, params.nest, cache, local)
    backward = backward_of(layer)
    _, local = _call(
        layer.backward, backward, params, dy, copy.deepcopy(cache), params.zeros_like()
    )
    both = dict(known)
    _add(both, local)
    return known, {name: array for name, array in both.items() if name not in known}


def _add(known, *more):
    """Add the arrays of dicts, but for those that are there under another name."""
    for named in more:
        for name, array in named.items() if isinstance(named, dict) else ():
            real = isinstance(array, np.ndarray) and array.dtype.kind == "f"
            if real and not any(np.array_equal(array, other) for other in known.values()):
                known.setdefault(name, array)


def _call(watched, function, *arguments):
    """Return function(*arguments), and the local variables of `watched` when it returned."""
    code = getattr(watched, "__code__", None)
    kept = {}

    def watch(frame, event, _):
        if event == "return" and frame.f_code is code:
            kept.update(frame.f_locals)

    profiler = sys.getprofile()
    sys.setprofile(watch)
    try:
        return function(*arguments), kept
    finally:
        sys.setprofile(profiler)


def has_params(layer):
    """Whether a layer has the full protocol; one without parameters has no init."""
    return hasattr(layer, "init")


def backward_of(layer):
    """The backward of a layer as backward(params, dy, cache, grads), with parameters or without."""
    if has_params(layer):
        return layer.backward
    return lambda params, dy, cache, grads: layer.backward(dy, cache)


def sublayers(layer):
    """Yield (name, layer) of all that a layer holds, in lists, tuples and dicts too."""
    for name, held in getattr(layer, "__dict__", {}).items():
        yield from _layers_in(name, held)


def _layers_in(path, held):
    """The same of one attribute; a dict's keys stand for themselves, as in the parameters."""
    if isinstance(held, dict):
        for key, item in held.items():
            yield from _layers_in(str(key), item)
    elif isinstance(held, (list, tuple)):
        for place, item in enumerate(held):
            yield from _layers_in(f"{path}.{place}", item)
    elif hasattr(held, "forward") and hasattr(held, "backward"):
        yield path, held


@contextlib.contextmanager
def replaced(layer, method, wrapper):
    """While this lasts, layer.method is wrapper(layer.method)."""
    own, real = vars(layer).get(method), getattr(layer, method)
    setattr(layer, method, functools.wraps(real)(wrapper(real)))
    try:
        yield
    finally:
        if own is None:
            delattr(layer, method)
        else:
            setattr(layer, method, own)


def inputs_of_sublayers(layer, forward, params, x, loss=None):
    """Return [(name, sub-layer, its input in a forward pass), …] in order; a loss is the last.

    Layers with a second input beside x are left out: the protocol has none.
    """
    inputs = []

    def keep_input(name, sub):
        def wrapper(real):
            def forward_of_sub(*arguments, **more):
                x, *rest = arguments[has_params(sub) :]
                if not any(isinstance(other, np.ndarray) for other in [*rest, *more.values()]):
                    inputs.append((name, sub, x.copy()))
                return real(*arguments, **more)

            return forward_of_sub

        return wrapper

    with contextlib.ExitStack() as stack:
        for name, sub in sublayers(layer):
            stack.enter_context(replaced(sub, "forward", keep_input(name, sub)))
        y, _ = forward(params, x)
    if loss:
        inputs.append(("loss", Loss(loss), y))
    return inputs


class Loss:
    """A loss, y -> (loss, dy), as a layer without parameters: the last one of a network."""

    def __init__(self, function):
        self.function = function

    def forward(self, x):
        loss, dx = self.function(x)
        return np.asarray(loss), {"dx": dx}

    def backward(self, dy, cache):
        return dy * cache["dx"]
