"""Code whose call is known becomes a layer of the protocol."""

import math

import numpy as np

from ...params import Params
from ..adapted import Adapted, Names, value_itself
from .code import Result
from .source import parameters_of, returned_names, unwrapped


def layer_of(code, call, places, outputs):
    """The Adapted of code whose call and places of gradients are known."""
    leaves, several = code.leaves, sum(role[0] == "dy" for role in call)
    whole = [i for i in places if i < code.count and len(leaves[i].path) == 1]
    whole.sort(key=lambda i: (leaves[i].name.lower() != "x", i))
    main = (whole or sorted(places))[0]
    others = {leaves[i].name: i for i in sorted(places) if i != main}

    def run(params, x):
        return code.run({main: x} | {i: params[name] for name, i in others.items()})

    def forward(params, x):
        arrays = [x, *(params[name] for name in others)]
        if not layer.analytic and any(map(np.iscomplexobj, arrays)):
            raise TypeError("forward takes no complex numbers")
        result = run(params, x)
        ys = [np.asarray(output) for output in result.outputs[: max(1, several)]]
        y = joined(ys)
        if code.owner is None:
            return y, {"arguments": result.arguments, "outputs": result.outputs}
        return np.array(y), {"of forward": np.array(x), **code.kept()}

    def backward(params, dy, cache, grads):
        if code.owner is None:
            result = Result(cache["arguments"], cache["outputs"])
        else:  # what backward needs is on the owner, and only since its last forward
            result = run(params, cache["of forward"])
        dys = split(dy, map(np.shape, result.outputs[: max(1, several)]))
        returned, left = code.gradients(call, dys, result)
        found = {
            i: scaled_by(left[i] if place is None else returned[place][1], dys, call)
            for i, place in places.items()
        }
        add(grads, {name: found[i] for name, i in others.items()})
        return found[main] if code.owner is None else np.array(found[main])

    def value(i):
        return np.array(leaves[i].value, np.float64)

    layer = Adapted(
        forward,
        backward,
        Params({name: value(i) for name, i in others.items()}),
        np.array(leaves[main].value),
        Names(leaves[main].name, *_names_of_dy_and_y(code, call)),
        passes=(unwrapped(code.forward), unwrapped(code.backward)),
        numbers=code.numbers(),
        shapes=code.shapes(),
        notes=code.notes,
    )
    if ("dy", 0) not in call and np.size(outputs[0]) == 1:
        layer.loss = value_itself
    return layer


def joined(outputs):
    """Several outputs as one flat y; a single one as it is."""
    if len(outputs) == 1:
        return outputs[0]
    return np.concatenate([each.ravel() for each in outputs])


def split(dy, shapes):
    """The parts of the gradient of what `joined` returned, one for each output."""
    shapes = list(shapes)
    parts = np.split(np.ravel(dy), np.cumsum([math.prod(shape) for shape in shapes])[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def add(grads, gradients):
    """Add {name: gradient or None} to grads; gradcheck says so if one does not fit."""
    for name, gradient in gradients.items():
        if gradient is None:
            continue
        if np.shape(gradient) == grads[name].shape:
            grads[name] += gradient
        else:
            grads[name] = np.asarray(gradient)


def _names_of_dy_and_y(code, call):
    parameters, names = parameters_of(code.backward), returned_names(code.forward)
    name = names[0] if isinstance(names, list) and names else names
    dys = [i for i, role in enumerate(call) if role == ("dy", 0)]
    dy = parameters[dys[0]][0] if parameters and dys else "dy"
    return dy, name if isinstance(name, str) and name != dy else "y"


def scaled_by(gradient, dys, call):
    """The gradient of Σ y · dy, where backward was given no dy and so returns that of y."""
    if gradient is None or any(role[0] == "dy" for role in call):
        return gradient
    (dy,) = dys
    return gradient * (dy.item() if dy.size == 1 else dy)
