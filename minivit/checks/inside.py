"""A layer seen from outside: how to call it, the layers inside it, and the arrays of a pass."""

import contextlib
import copy
import functools
import inspect
import sys
from typing import NamedTuple

import numpy as np

from .adapted import Adapted, names_of, shapes_of


def has_params(layer):
    """Whether a layer has the full protocol; one without parameters has no init."""
    return hasattr(layer, "init")


def takes_rng(layer):
    return "rng" in inspect.signature(layer.forward).parameters


def forward_of(layer, seed):
    """The forward of a layer, with parameters or without, as forward(params, x).

    A layer that draws random numbers draws the same ones in every pass; with None for the seed it
    draws none, as in evaluation.
    """
    draws = takes_rng(layer) and seed is not None

    def forward(params, x):
        rng = {"rng": np.random.default_rng(seed)} if draws else {}
        return layer.forward(params, x, **rng) if has_params(layer) else layer.forward(x, **rng)

    return forward


def backward_of(layer):
    """The same of its backward, as backward(params, dy, cache, grads)."""
    if has_params(layer):
        return layer.backward
    return lambda params, dy, cache, grads: layer.backward(dy, cache)


def gradients_in(layer, params, dy, cache):
    """{name: gradient} of a backward pass, that of x first."""
    grads = params.zeros_like()
    dx = backward_of(layer)(params, dy, cache, grads)
    return {names_of(layer).x: dx, **dict(grads.named())}


class Loss:
    """A loss, y -> (loss, dy), as a layer without parameters: the last one of a network."""

    def __init__(self, function):
        self.function = function

    def forward(self, x):
        loss, dx = self.function(x)
        return np.asarray(loss), {"dx": dx}

    def backward(self, dy, cache):
        return dy * cache["dx"]


def sublayers(layer):
    """Yield (name, layer) for every attribute that is a layer, or a list, tuple or dict of layers.

    A place in a list becomes part of the name, "blocks.1"; a dict's key is the whole name, as in
    the parameters.
    """
    for name, value in getattr(layer, "__dict__", {}).items():
        yield from _layers_in(name, value)


def _layers_in(name, value):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _layers_in(str(key), item)
    elif isinstance(value, (list, tuple)):
        for place, item in enumerate(value):
            yield from _layers_in(f"{name}.{place}", item)
    elif hasattr(value, "forward") and hasattr(value, "backward"):
        yield name, value


def all_sublayers(layer, path=""):
    """Yield (dotted name, layer) for every layer inside, those inside of it first."""
    for name, sub in sublayers(layer):
        yield from all_sublayers(sub, f"{path}{name}.")
        yield f"{path}{name}", sub


@contextlib.contextmanager
def replaced(layer, method, substitute):
    """While this lasts, layer.method(…) is substitute(the real method, …)."""
    own, real = method in vars(layer), getattr(layer, method)

    @functools.wraps(real)
    def replacement(*arguments, **options):
        return substitute(real, *arguments, **options)

    setattr(layer, method, replacement)
    try:
        yield
    finally:
        if own:
            setattr(layer, method, real)
        else:
            delattr(layer, method)


class Call(NamedTuple):
    """A call of a layer inside."""

    name: str
    sub: object
    method: str  # "forward" or "backward"
    array: np.ndarray  # x or dy
    others: list  # of further arrays
    result: object


@contextlib.contextmanager
def watched(layer):
    """While this lasts, collect every Call of the layers inside."""
    calls = []

    def watch(name, sub, method, real, *arguments, **options):
        array, *others = (*arguments, *options.values())[has_params(sub) :]
        array = np.array(array)  # as it is now
        others = [each for each in others if isinstance(each, np.ndarray)]
        result = real(*arguments, **options)
        calls.append(Call(name, sub, method, array, others, result))
        return result

    with contextlib.ExitStack() as stack:
        for name, sub in sublayers(layer):
            for method in ("forward", "backward"):
                watcher = functools.partial(watch, name, sub, method)
                stack.enter_context(replaced(sub, method, watcher))
        yield calls


def arrays_of(layer, forward, params, x, dy):
    """The named arrays of one pass: {name: array} of the forward, {name: array} of the backward.

    Forward: dy, x, y, the layer's own parameters, its own entries of the cache, and its local
    variables as it returns. Backward: its local variables, likewise. An array with several names
    goes by the first of them.
    """
    y, cache, in_forward, in_backward = _pass_seen(layer, forward, params, x, dy)
    names = names_of(layer)
    first = [{names.dy: dy, names.x: x, names.y: y}, params.nest, cache, in_forward]
    known = _new_arrays([n for n in first if isinstance(n, dict)], {}, isinstance(layer, Adapted))
    return known, _new_arrays([in_backward], known)


def numbers_of(layer, slopes, local):
    """[[(name, number)]] of somebody's code, by which a factor may be told: N, scale, momentum, …

    First its arguments, options and local variables, then the shapes of its arrays; each with √.
    """
    arrays = {names_of(layer).x: slopes.x, **dict(slopes.params.named())}
    shapes = layer.shapes | shapes_of(arrays)
    return [
        [
            (root + name, value)
            for root in ("", "√")
            for name, value in several.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
        ]
        for several in (layer.numbers | local, shapes)
    ]


def locals_of(layer, slopes):
    """The local variables of forward and of backward as they return, {name: value} each."""
    return _pass_seen(layer, slopes.forward, slopes.params, slopes.x, slopes.dy)[2:]


def _pass_seen(layer, forward, params, x, dy):
    """y, the cache, and the local variables of forward and of backward as they return."""
    passes = getattr(layer, "passes", (layer.forward, layer.backward))
    codes = [getattr(method, "__code__", None) for method in passes]
    local = {}

    def watch(frame, event, _):
        if event == "return" and frame.f_code in codes:
            local[frame.f_code] = {name: array_of(each) for name, each in frame.f_locals.items()}

    profiler = sys.getprofile()
    sys.setprofile(watch)
    try:
        y, cache = forward(params, x)
        backward_of(layer)(params, dy, copy.deepcopy(cache), params.zeros_like())
    finally:
        sys.setprofile(profiler)
    return y, cache, *(local.get(code, {}) for code in codes)


def array_of(value):
    """A tensor of PyTorch as an array of the same memory, and everything else as it is."""
    return value.detach().numpy() if hasattr(value, "detach") else value


def _new_arrays(nests, known, inner=False):
    """The float arrays of dicts, except those that are known, by name or value, or come twice.

    inner: keep a second array of the same name, as "inner" so and so, such as x of a Function that
        is only a part of the forward
    """
    new = {}
    for name, array in (item for nest in nests for item in nest.items()):
        others = known | new
        is_float = isinstance(array, np.ndarray) and array.dtype.kind == "f"
        equal = is_float and any(np.array_equal(array, other) for other in others.values())
        if is_float and not equal and (inner or name not in others):
            new[f"inner {name}" if name in others else name] = array
    return new
