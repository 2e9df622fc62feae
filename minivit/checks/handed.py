"""Where the gradient goes wrong on its way from one layer inside to the next.

A layer that joins others hands a gradient to each of them. What it hands to the backward of one
must be the gradient of the loss with respect to that one's output; the numerical gradient is found
by adding something to that output.
"""

import contextlib

import numpy as np

from ..params import Params
from .inside import backward_of, has_params, replaced, sublayers
from .slopes import Slopes, directions_of


def handed_on(layer, slopes, entries):
    """Yield (name, dy as handed to the layer inside, dy as it should be), in backward's order.

    Layers that are not called just once each way, or whose output has more than `entries` numbers,
    are left out.
    """
    outputs, given, order = {}, {}, []
    with contextlib.ExitStack() as stack:
        for name, sub in sublayers(layer):
            stack.enter_context(replaced(sub, "forward", _keep_output(outputs, name)))
            keep_dy = _keep_dy(given, order, name, has_params(sub))
            stack.enter_context(replaced(sub, "backward", keep_dy))
        _, cache = slopes.forward(slopes.params, slopes.x)
        backward_of(layer)(slopes.params, slopes.dy, cache, slopes.params.zeros_like())
    subs = dict(sublayers(layer))
    for name in order:
        if not len(outputs.get(name, ())) == len(given[name]) == 1:
            continue
        (output,), (dy,) = outputs[name], given[name]
        if output.shape == dy.shape and dy.size <= entries:
            yield name, dy, _numerical(subs[name], output, slopes)


def _numerical(sub, output, slopes):
    """The gradient of the loss with respect to the output of a layer inside."""
    params = Params({"all": slopes.params.nest, "added": np.zeros(output.shape)})

    def forward(params, x):
        with replaced(sub, "forward", _add_to_output(params["added"])):
            return slopes.forward(params["all"], x)

    around = Slopes(forward, params, slopes.x, slopes.dy, slopes.loss)
    directions = directions_of(output, "full", output.size, None)
    slope = [float(around.central("added", direction)) for _, direction in directions]
    return np.reshape(slope, output.shape)


def _keep_output(outputs, name):
    def wrapper(real):
        def forward(*arguments, **more):
            y, cache = real(*arguments, **more)
            outputs.setdefault(name, []).append(y)
            return y, cache

        return forward

    return wrapper


def _keep_dy(given, order, name, place_of_dy):
    def wrapper(real):
        def backward(*arguments):
            given.setdefault(name, []).append(np.array(arguments[place_of_dy]))
            order.append(name)
            return real(*arguments)

        return backward

    return wrapper


def _add_to_output(added):
    def wrapper(real):
        def forward(*arguments, **more):
            y, cache = real(*arguments, **more)
            return y + added, cache

        return forward

    return wrapper
