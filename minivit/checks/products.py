"""Arrays of a pass combined: products number by number, of matrices, and with slopes."""

import itertools
import math

import numpy as np

from .numeric import fits

MOST = 24  # arrays to combine; there are 2,600 products of three of them


def reads_as(array, arrays):
    """The text of the first product of the arrays that equals `array`, or None."""
    for name, product in itertools.chain(
        products(arrays, array.shape, 3), matrix_products(arrays, array.shape)
    ):
        factor = coefficient(array, product)
        if factor is not None:
            signs = {1: name, -1: f"−{name}"}
            return signs.get(round(factor, 5), f"{factor:.6g} · {name}")


def reads_with_a_slope(array, arrays):
    """The text of an array times what looks like a slope that equals `array`, or None."""
    for (name, factor), (text, slope) in itertools.product(
        list(products(arrays, array.shape, 1)), list(slopes_of(arrays, array.shape))
    ):
        if fits(factor * slope, array):
            return f"{name} · {text}"


def slopes_of(arrays, shape):
    """Yield (text, factor) of what the derivatives of ReLU, tanh and the sigmoid look like."""
    for name, array in products(arrays, shape, 1):
        array = np.broadcast_to(array, shape)
        yield f"({name} > 0)", array > 0
        yield f"({name} < 0)", array < 0
        yield f"(1 − {name}²)", 1 - array**2
        yield f"{name} · (1 − {name})", array * (1 - array)
        yield f"(1 − {name})", 1 - array


def coefficient(array, term):
    """k if array is k · term, else None."""
    size = float((term**2).sum())
    if size and array.size > 2:
        factor = float((array * term).sum()) / size
        if fits(factor * term, array):
            return factor


def products(arrays, shape, most):
    """Yield (name, product) of up to `most` arrays, number by number, broadcast to the shape."""
    names = [
        name
        for name, array in arrays.items()
        if array.size > 1
        and array.ndim <= len(shape)
        and all(a in (1, s) for a, s in zip(array.shape[::-1], shape[::-1], strict=False))
    ][:MOST]
    for count in range(1, most + 1):
        for factors in itertools.combinations_with_replacement(names, count):
            product = math.prod((arrays[name] for name in factors), start=np.ones(shape))
            yield " · ".join(factors), product


def matrix_products(arrays, shape):
    """Yield (name, product) of the matrix products a b, aᵀ b and a bᵀ and sums Σ a of that shape.

    An array of more than two axes counts as a matrix of rows, and a product of rows gets the axes
    back; but with others that have the same first axes it is one matrix for each of their places.
    """
    several = dict(list(arrays.items())[:MOST])
    for (left, a), (right, b) in itertools.product(several.items(), repeat=2):
        if a.ndim == 2 and b.ndim == 1 and len(shape) == 1:
            both = [(left, a), (f"{left}ᵀ", a.T)]
            if a.shape[0] == a.shape[1]:
                both.append((f"({left}ᵀ − {left})", a.T - a))
            for name, matrix in both:
                if matrix.shape == (*shape, *b.shape):
                    yield f"{name} @ {right}", matrix @ b
    rows = {name: a.reshape(-1, a.shape[-1]) for name, a in several.items() if a.ndim > 1}
    for name, a in rows.items():
        if a.shape[1:] == shape:
            yield f"Σ {name}", a.sum(axis=0)
            yield f"the mean of {name}", a.mean(axis=0)
    matrix = math.prod(shape[:-1]), *shape[-1:]
    for (left, a), (right, b) in itertools.product(rows.items(), repeat=2):
        for name, first, second in _orders(left, a, right, b):
            if first.shape[1] == len(second) and (len(first), second.shape[1]) == matrix:
                yield name, (first @ second).reshape(shape)
    stacked = {name: a for name, a in several.items() if a.ndim > 2 and a.shape[:-2] == shape[:-2]}
    for (left, a), (right, b) in itertools.product(stacked.items(), repeat=2):
        for name, first, second in _orders(left, a, right, b):
            ends = (first.shape[-2], second.shape[-1])
            if first.shape[-1] == second.shape[-2] and ends == shape[-2:]:
                yield name, first @ second


def _orders(left, a, right, b):
    """Yield (name, first, second), the factors of the products of two (stacks of) matrices."""
    yield f"{left} @ {right}", a, b
    yield f"{left}ᵀ @ {right}", a.mT, b
    yield f"{left} @ {right}ᵀ", a, b.mT
    turned = b.reshape(*b.shape[:-2], *b.shape[:-3:-1])
    yield f"{left} @ {right}.reshape (which does not transpose)", a, turned
