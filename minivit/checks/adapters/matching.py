"""Which of the arrays each of the gradients belongs to that a backward returns."""

import itertools

import numpy as np

from .nests import is_float
from .source import flat, namesake

MOST = 7  # arrays whose every order is tried


def gradients_in(result, name=None):
    """[(name, array or None)] in what a backward returned: an array, or nested tuples and dicts."""
    if isinstance(result, dict):
        parts = [(str(key), part) for key, part in result.items()]
    elif hasattr(result, "_fields"):
        parts = list(zip(result._fields, result, strict=True))
    elif isinstance(result, (tuple, list)):
        parts = [(None, part) for part in result]
    else:
        return [(name, None if result is None else _array(result))]
    return [each for key, part in parts for each in gradients_in(part, key)]


def _array(value):
    array = np.asarray(value)
    return array if array.dtype.kind in "fc" else array.astype(np.float64)


def named(gradients, source_names):
    """The names of gradients: their keys or, without, what the source's return statement says."""
    from_source = flat(source_names)
    if len(from_source) != len(gradients):
        from_source = [None] * len(gradients)
    return [
        key if key is not None else name
        for (key, _), name in zip(gradients, from_source, strict=True)
    ]


def in_order(order, gradients, names):
    """{place of an array: place of its gradient} in the order that was given.

    Errors: ValueError if it does not fit.
    """
    order = (order,) if isinstance(order, str) else tuple(order)
    unknown = [name for name in order if name is not None and name not in names]
    if unknown or len(order) != len(gradients):
        raise ValueError(
            f"gradcheck: order is {order}, but backward returns {len(gradients)} gradients; "
            f"expected one name for each, or None, of {', '.join(names)}"
        )
    return {names.index(name): place for place, name in enumerate(order) if name is not None}


def matched(gradients, gradient_names, leaves, first, agrees):
    """({place of a leaf: place of its gradient}, how it was found).

    gradients: arrays or None, and their names or None
    leaves: {place: Leaf} of those that they may belong to; first: the places of the likeliest
    agrees: (place of a leaf, gradient) -> whether numeric slopes say that it is the gradient
    """
    places = list(leaves)
    last_names = [leaf.name.rpartition(".")[2] for leaf in leaves.values()]
    by_name = {}
    for i, (gradient, name) in enumerate(zip(gradients, gradient_names, strict=True)):
        found = None if name is None or gradient is None else namesake(name, last_names)
        if found is not None:
            by_name.setdefault(places[found], i)
    rest = [i for i, gradient in enumerate(gradients) if i not in by_name.values()]
    rest = [i for i in rest if gradients[i] is not None]
    if not rest:
        return by_name, "by name"
    free = [place for place in first if place not in by_name]
    if len(free) < len(rest):
        free = [p for p, leaf in leaves.items() if p not in by_name and is_float(leaf.value)]
    arrays = {place: leaves[place].value for place in free}
    others, how = _by_shape(rest, free, gradients, arrays, agrees)
    return by_name | others, f"by name and {how}" if by_name else how


def _by_shape(rest, free, gradients, arrays, agrees):
    if len(rest) > len(free):
        return {}, "in no way: there are more gradients than arrays"
    shapes = [np.shape(gradient) for gradient in gradients]

    def fitting(choice):
        return sum(arrays[a].shape == shapes[g] for a, g in zip(choice, rest, strict=True))

    choices = list(itertools.combinations(free, len(rest)))
    if len(free) <= MOST:
        choices = list(dict.fromkeys([*choices, *itertools.permutations(free, len(rest))]))
    most = max(map(fitting, choices))
    choices = [choice for choice in choices if fitting(choice) == most]
    how = "by shape" if most else "in the order of the arguments"
    if len(choices) > 1 and most:
        pairs = {(a, g): arrays[a].shape == shapes[g] for a in free for g in rest}
        right = {(a, g) for (a, g), fit in pairs.items() if fit and agrees(a, gradients[g])}
        scores = [sum(pair in right for pair in zip(c, rest, strict=True)) for c in choices]
        if max(scores) == len(rest):
            how = "by shape, and by what agrees with numeric slopes"
        else:
            how = "by shape, and in the order of the arguments"
        choices = [choices[int(np.argmax(scores))]]
    return dict(zip(choices[0], rest, strict=True)), how
