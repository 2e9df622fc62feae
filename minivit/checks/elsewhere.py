"""What stands beside the input that was given: other numbers, more images, more tokens."""

import math

import numpy as np

from .adapted import Adapted, names_of
from .numeric import constant_names

MOST = 10_000  # numbers of an x with more images


def varied_params(theirs):
    """The parameters, with random numbers where all numbers of an array are the same.

    Such numbers hide errors, as initial ones do. They are left if the code takes no others.
    """
    names = constant_names(theirs.params)
    varied, rng = theirs.params.astype(np.float64), np.random.default_rng(0)
    for name, leaf in varied.named():
        if name in names:
            leaf += 0.3 * rng.uniform(-1, 1, leaf.shape)
    try:
        y, _ = theirs.forward(varied, theirs.x)
    except Exception:
        return theirs.params
    if not names or not np.isfinite(y).all():
        return theirs.params
    theirs.notes.append(
        f"all numbers are the same in {', '.join(names)}, which hides errors: checked with random "
        "ones in their place"
    )
    return varied


def other_inputs(layer, x):
    """Yield (where, x) for inputs that x stands for: of another size, of more images or tokens.

    An axis of x is left as it is if another array that somebody's code takes has the same size.
    """
    size, rng = abs(x).max(), np.random.default_rng(0)
    name, beside = names_of(layer).x, _sizes_beside(layer)
    largest = 30 if size < 30 else 1
    if size > 0:
        yield f"where |{name}| goes up to {largest}", x * (largest / size)
    if x.size > 1 and np.ptp(x) == 0:
        change = 0.5 * (size or 1) * rng.uniform(-1, 1, x.shape)
        yield f"where the numbers of {name} differ", x + change
    shapes = {}
    if x.ndim > 1 and len(x) not in beside:
        count = min(65, MOST * len(x) // x.size)
        shapes[f"for {count} images or rows"] = (count, *x.shape[1:])
    if x.ndim == 3 and x.shape[1] not in beside:
        tokens = x.shape[1] + 9
        shapes[f"for {tokens} tokens"] = (len(x), tokens, x.shape[2])
    for where, shape in shapes.items():
        if math.prod(shape) > x.size:
            yield where, np.resize(x, shape) * rng.uniform(0.5, 1.5, shape)


def _sizes_beside(layer):
    """The sizes of what somebody's code takes beside x, such as labels, and which must fit x."""
    if not isinstance(layer, Adapted):
        return set()
    own = f"{layer.names.x}.shape"
    return {size for name, size in layer.shapes.items() if not name.startswith(own)}
