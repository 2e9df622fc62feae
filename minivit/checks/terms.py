"""The term or factor that a wrong gradient lacks, by its name among the arrays of the pass."""

import itertools
import math

import numpy as np

from .numeric import fits

TERMS = {  # the right gradient minus the wrong one, as a multiple of a term
    1: "it lacks the term {name}",
    -1: "it lacks the term −{name}, or contains {name} once too often",
    2: "the term {name} has the wrong sign: minus instead of plus",
    -2: "the term {name} has the wrong sign: plus instead of minus",
}
MOST = 24  # arrays to combine; there are 2,600 products of three of them


def known(m, arrays):
    """Of the arrays of a pass those by which a cause may be told: not the wrong gradient itself."""
    return {
        name: array
        for name, array in arrays.items()
        if name in ("dy", "x", "y")
        or array.shape != m.analytic.shape
        or coefficient(array, m.analytic) is None
    }


def missing_factor(m):
    """A factor such as a mask or a layer norm's w, missing or in twice; by name if known."""
    for name, factor in products(known(m, m.forward), m.numeric.shape, 1):
        if fits(m.analytic * factor, m.numeric):
            return f"the factor {name} is missing"
        if fits(m.numeric * factor, m.analytic):
            return f"the factor {name} appears once too often"
    last = m.numeric.ndim - 1
    for axes, word in ((tuple(range(last)), "feature"), ((last,), "row")):
        size = (m.numeric**2).sum(axis=axes, keepdims=True)
        if last > 0 and size.all() and size.size < m.numeric.size:
            factor = (m.analytic * m.numeric).sum(axis=axes, keepdims=True) / size
            if fits(m.analytic, factor * m.numeric):
                return f"each {word} is off by a factor of its own"


def missing_term(m):
    """One term is wrong; its name, if it is among the arrays of the pass or a product of two."""
    missing = m.numeric - m.analytic
    arrays = known(m, m.forward | m.backward)
    for name, term in products(arrays, missing.shape, 2):
        factor = coefficient(missing, term)
        if factor is not None:
            sentence = TERMS.get(round(factor, 5), "it lacks {factor:.6g} · {name}")
            return sentence.format(name=name, factor=factor)
    for axis in reversed(range(missing.ndim)):
        mean = missing.mean(axis=axis, keepdims=True)
        if missing.shape[axis] > 1 and fits(np.broadcast_to(mean, missing.shape), missing):
            return f"a term is missing or wrong: a constant along axis {axis}, such as a mean"
    for name, array in known(m, m.forward).items():
        if array.shape == missing.shape and array.ndim > 1 and array.shape[-1] > 2:
            share = (missing * array).sum(-1, keepdims=True) / (array**2).sum(-1, keepdims=True)
            if fits(share * array, missing):
                return f"a term is missing or wrong: in every row a multiple of {name}"


def other_product(m):
    """The wrong gradient is a product of the pass's arrays, but not the right one."""
    arrays = {name: array for name, array in known(m, m.forward).items() if array.ndim > 0}
    computed = _reads_as(m.analytic, arrays)
    if computed:
        right = _reads_as(m.numeric, arrays)
        return f"it is {computed}" + (f"; it should be {right}" if right else "")


def _reads_as(array, arrays):
    """The text of the first product of the arrays that equals `array`, or None."""
    for name, product in itertools.chain(
        products(arrays, array.shape, 3), matrix_products(arrays, array.shape)
    ):
        factor = coefficient(array, product)
        if factor is not None:
            signs = {1: name, -1: f"−{name}"}
            return signs.get(round(factor, 5), f"{factor:.6g} · {name}")


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

    An array of more than two axes counts as a matrix of rows; a product of rows gets the axes back.
    """
    rows = {
        name: array.reshape(-1, array.shape[-1])
        for name, array in list(arrays.items())[:MOST]
        if array.ndim > 1
    }
    for name, a in rows.items():
        if a.shape[1:] == shape:
            yield f"Σ {name}", a.sum(axis=0)
            yield f"the mean of {name}", a.mean(axis=0)
    matrix = math.prod(shape[:-1]), *shape[-1:]
    for (left, a), (right, b) in itertools.product(rows.items(), repeat=2):
        for name, first, second in (
            (f"{left} @ {right}", a, b),
            (f"{left}ᵀ @ {right}", a.T, b),
            (f"{left} @ {right}ᵀ", a, b.T),
            (f"{left} @ {right}.reshape (which does not transpose)", a, b.reshape(b.shape[::-1])),
        ):
            if first.shape[1] == len(second) and (len(first), second.shape[1]) == matrix:
                yield name, (first @ second).reshape(shape)
