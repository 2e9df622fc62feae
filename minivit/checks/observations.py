"""An observation in place of a cause: where, or under what circumstance, a gradient is right.

The layer is tried with the loss of one image or one number alone, with parameters of one, with a
small input. A circumstance in which the gradient is right shows where it is wrong.
"""

import numpy as np

from .adapted import names_of
from .inside import arrays_of, gradients_in
from .numeric import Slopes, directions_of, fits, misfits
from .report import UNKNOWN


def observation(name, layer, both_slopes, both_compared):
    """Where the gradient is right, or what it is the gradient of; or else UNKNOWN.

    both: at the numbers of the check, and at others
    """
    slopes, (analytic, _) = both_slopes[0], both_compared[0]
    arrays = forward_arrays(layer, *both_slopes)
    return (
        (_diagonal if name == names_of(layer).x else _of_a_part)(name, analytic, slopes)
        or _of_another_size(both_compared)
        or where_it_is_wrong(both_compared, arrays, names_of(layer))
        or _right_elsewhere(name, layer, slopes)
        or UNKNOWN
    )


def forward_arrays(layer, *several):
    """The named arrays of forward at the numbers of each of several slopes."""
    return [arrays_of(layer, s.forward, s.params, s.x, s.dy)[0] for s in several]


def _of_another_size(both_compared):
    """An observation: a multiple of what it should be, by a factor that the numbers decide."""
    factors = []
    for analytic, numeric in both_compared:
        size = float((numeric**2).sum())
        factors.append(float((analytic * numeric).sum()) / size if size else 0.0)
        if numeric.size < 3 or not factors[-1] or not fits(analytic, factors[-1] * numeric):
            return None
    here, there = factors
    return (
        f"its direction is right and its size is not, {here:.4g} times too large here and "
        f"{there:.4g} times at other numbers: a factor that depends on them, such as a norm or a "
        "sum, is missing or there once too often"
    )


def _of_a_part(name, gradient, slopes):
    """The cause, if the gradient of a parameter is that of one image, token or row alone."""
    for which, i in {"first": 0, "last": -1}.items():
        for part, chosen in {"image": (i,), "token": (slice(None), i), "row": (i, i)}.items():
            dy = np.zeros_like(slopes.dy)
            if len(chosen) < dy.ndim:
                dy[chosen] = slopes.dy[chosen]
                if fits(gradient, slopes.with_dy(dy).gradient(name)):
                    return f"it is the gradient of the {which} {part} alone, not of all of them"


def _diagonal(name, gradient, slopes):
    """The cause, if only the effect of every input on its own output was taken into account."""
    if slopes.x.shape == slopes.dy.shape:
        own = np.zeros_like(slopes.x)
        for index, direction in directions_of(own, "full", own.size, None):
            own[index] = slopes.with_dy(slopes.dy * direction).central(name, direction)
        if fits(gradient, own):
            return (
                "it uses only the diagonal of the Jacobian: the effect of each number on its own "
                "output, not on the others in its row"
            )


def _right_elsewhere(name, layer, slopes):
    """An observation in place of a cause: where the same backward is right."""
    rng = np.random.default_rng(0)
    main = names_of(layer).x
    for circumstance, params, inputs in _circumstances(slopes.params, slopes.x, main):
        if all(_is_right(name, layer, slopes.forward, params, x, rng) for x in inputs):
            return f"it is right {circumstance}"


def _is_right(name, layer, forward, params, x, rng):
    try:  # a trial: the layer may take no such input
        y, cache = forward(params, x)
        dy = rng.standard_normal(y.shape)
        gradient = gradients_in(layer, params, dy, cache)[name]
    except Exception:
        return False
    return fits(gradient, Slopes(forward, params, x, dy, None).gradient(name))


def _circumstances(params, x, name_of_x):
    """Yield (a circumstance, parameters, inputs)."""
    if x.ndim > 1 and len(x) > 1:
        images = [x[i : i + 1] for i in range(len(x))]
        yield "for each image alone: look at what mixes the images of a batch", params, images
    if x.ndim > 2 and x.shape[1] > 1:
        tokens = [x[:, t : t + 1] for t in range(x.shape[1])]
        yield "for each token alone: look at what mixes the tokens of an image", params, tokens
    for name, leaf in params.named():
        if leaf.ndim == 1:
            ones = params.astype(np.float64)
            dict(ones.named())[name][...] = 1
            yield f"where {name} is 1 everywhere: look at where {name} enters", ones, [x]
    small = f"where {name_of_x} is small: look at the terms that grow with {name_of_x}"
    yield small, params, [1e-9 * x]


def where_it_is_wrong(compared, arrays, always=()):
    """Say beyond which numbers of which array the gradient is wrong, if that tells it from right.

    compared, arrays: at two inputs, pairs (as written, as it should be), and {name: array}
    always: names of arrays that may tell it even if the gradient has the same numbers
    """
    for name in arrays[0]:
        for part in ("{}", "−{}", "|{}|", "−|{}|"):
            borders = [
                _border(part, array[name], *pair, name in always)
                for pair, array in zip(compared, arrays, strict=True)
                if name in array
            ]
            if len(borders) == 2 and all(borders):
                (most, least), _ = borders
                label = part.format(name)
                return f"it is right where {label} ≤ {most:.3g}, wrong where it is ≥ {least:.3g}"


def _border(part, array, analytic, numeric, always):
    """(largest number where the gradient is right, smallest where it is wrong), or None."""
    wrong = misfits(analytic, numeric)
    itself = np.array_equal(array, analytic) and not always
    some = wrong.size > 7 and wrong.sum() > 1 and wrong.mean() < 0.8
    if not itself and array.shape == wrong.shape and some:
        values = abs(array) if "|" in part else array
        values = -values if "−" in part else values
        most, least = values[~wrong].max(), values[wrong].min()
        return (most, least) if most < least else None
