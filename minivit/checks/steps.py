"""The gradients inside somebody's backward: each local `dname` against the slope along `name`.

The forward is run with something added, in place, to one of its local arrays, right after the line
that makes it. The slope of the loss along that is what backward's local gradient should be.
"""

import contextlib
import sys

import numpy as np

from ..params import Params
from .adapters.source import namesake
from .inside import array_of, gradients_in, locals_of
from .numeric import Slopes, fits


def inner_gradients(layer, slopes, entries, compared):
    """Yield (name of a gradient, as written, as it should be), in the order of backward's source.

    compared: {name: (a gradient that backward returns, as it should be)}
    Left out are arrays of more than `entries` numbers, those with a second name, those that are
    made in several steps, and those that are not what their name says: a wrong one must, once it is
    corrected, make right what backward returns.
    """
    in_forward, in_backward = locals_of(layer, slopes)
    arrays = {name: array for name, array in in_forward.items() if _is_float(array)}
    for name, gradient in in_backward.items():
        place = namesake(name, list(arrays), itself=False)
        of = None if place is None else list(arrays)[place]
        if of is None or not _is_float(gradient) or gradient.shape != arrays[of].shape:
            continue
        if np.shares_memory(gradient, slopes.dy):
            continue
        others = [array for other, array in arrays.items() if other != of]
        given = [slopes.x, *(leaf for _, leaf in slopes.params.named())]
        again = any(np.shares_memory(arrays[of], each) for each in [*others, slopes.params.flat])
        again |= any(np.array_equal(arrays[of], each) for each in given)
        if gradient.size <= entries and not again:
            right = _gradient_along(layer.passes[0].__code__, of, gradient.shape, slopes)
            if right is None:
                continue
            if fits(gradient, right) or _repairs(layer, slopes, name, right - gradient, compared):
                yield name, gradient, right


def _repairs(layer, slopes, name, correction, compared):
    """Whether a correction of one gradient inside backward makes right one that it returns."""
    _, cache = slopes.forward(slopes.params, slopes.x)
    with _adding(layer.passes[1].__code__, name, correction):
        gradients = gradients_in(layer, slopes.params, slopes.dy, cache)
    return any(fits(gradients[row], right) for row, (_, right) in compared.items())


def _is_float(value):
    return isinstance(value, np.ndarray) and value.dtype == np.float64 and value.size > 1


def _gradient_along(code, name, shape, slopes):
    """The gradient of the loss with respect to a local array of forward, or None."""
    ends, probe = [], np.random.default_rng(0).standard_normal(shape)
    for added in (0 * probe, probe):
        with _adding(code, name, added) as end:
            slopes.forward(slopes.params, slopes.x)
        ends += end
    if len(ends) != 2 or not np.allclose(ends[1] - ends[0], probe, 1e-9, 1e-9):
        return None

    def forward(params, x):
        if np.iscomplexobj(params["added"]):
            raise TypeError("what is real in forward stays real")
        with _adding(code, name, params["added"]):
            return slopes.forward(params["all"], x)

    params = Params({"all": slopes.params.nest, "added": np.zeros(shape)})
    return Slopes(forward, params, slopes.x, slopes.dy, slopes.loss).gradient("added")


@contextlib.contextmanager
def _adding(code, name, added):
    """While this lasts, `added` is added to a local array of a function when it has been made.

    Yields a list of what the array is when the function returns.
    """
    last, ends = None, []

    def watch(frame, event, _):
        nonlocal last
        value = frame.f_locals.get(name)
        array = array_of(value)
        if value is not last and np.shape(array) == added.shape and array.flags.writeable:
            last = value
            array += added
        if event == "return" and array is not None:
            ends.append(np.array(array))
        return watch

    before = sys.gettrace()
    sys.settrace(lambda frame, event, _: watch if frame.f_code is code else None)
    try:
        yield ends
    finally:
        sys.settrace(before)
