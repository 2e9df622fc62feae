"""Causes that the arrays of the pass give away: the term or factor that is missing, by its name."""

import itertools

import numpy as np

from .fits import fits

TERMS = {  # the difference from what is right, as a multiple of a term
    1: "it lacks the term {name}",
    -1: "it lacks the term −{name}, or has {name} once too often",
    2: "the term {name} has the wrong sign, minus for plus",
    -2: "the term {name} has the wrong sign, plus for minus",
}
TRIED = 24  # arrays at most, for their triples grow with the third power of that


def factor_along(m):
    """A factor for each feature or for each row, such as a layer norm's w, left out or in twice."""
    if m.numeric.ndim < 2:
        return None
    last, rest = m.numeric.ndim - 1, tuple(range(m.numeric.ndim - 1))
    for axes, word in ((rest, "feature"), ((last,), "row")):
        below = (m.numeric**2).sum(axis=axes, keepdims=True)
        if not below.all() or m.numeric.size == below.size:
            continue
        factor = (m.analytic * m.numeric).sum(axis=axes, keepdims=True) / below
        if fits(m.analytic, factor * m.numeric):
            for name, array in m.forward.items():
                if array.size == factor.size and array.all():
                    flat = array.reshape(factor.shape)
                    if fits(factor * flat, np.ones_like(factor)):
                        return f"the factor {name} is missing: each {word} should have its own"
                    if fits(factor, flat):
                        return f"the factor {name} is there once too often"
            return f"each {word} is off by a factor of its own"


def missing_factor(m):
    """A factor that is missing, or there twice, number by number, such as a mask."""
    for name, factor in products(m.forward, m.numeric.shape, 1):
        if fits(m.analytic * factor, m.numeric):
            return f"the factor {name} is missing"
        if fits(m.numeric * factor, m.analytic):
            return f"the factor {name} is there once too often"


def missing_term(m):
    """All is right but for one term; its name, where it is one of the pass's arrays."""
    missing = m.numeric - m.analytic
    known = m.forward | {  # not the result itself, nor what differs from it by nothing
        name: array
        for name, array in m.backward.items()
        if array.shape != m.analytic.shape or not fits(array, m.analytic)
    }
    for name, term in products(known, missing.shape, 2):
        factor = coefficient(missing, term)
        if factor is not None:
            words = "it lacks {factor:.6g} · {name}"
            for known_factor, known_words in TERMS.items():
                if abs(factor - known_factor) < 1e-5:
                    words = known_words
            return words.format(name=name, factor=factor)
    for axis in reversed(range(missing.ndim)):
        mean = missing.mean(axis=axis, keepdims=True)
        if missing.shape[axis] > 1 and fits(np.broadcast_to(mean, missing.shape), missing):
            return f"a term is missing or too much that is the same all along axis {axis}: a mean?"
    for name, array in m.forward.items():
        if array.shape == missing.shape and array.ndim > 1 and array.shape[-1] > 2:
            share = (missing * array).sum(-1, keepdims=True) / (array**2).sum(-1, keepdims=True)
            if fits(share * array, missing):
                return f"a term is missing or wrong that is, in every row, a multiple of {name}"


def other_product(m):
    """Another product of the pass's arrays was computed than the one that is right."""
    arrays = {name: array for name, array in m.forward.items() if array.ndim > 0}
    computed = _reads_as(m.analytic, arrays)
    if computed:
        right = _reads_as(m.numeric, arrays)
        return f"what was computed is {computed}" + (f"; it should be {right}" if right else "")


def _reads_as(array, arrays):
    """The text of the first product of the arrays that equals `array`, or None."""
    for name, product in itertools.chain(
        products(arrays, array.shape, 3), matrix_products(arrays, array.shape)
    ):
        factor = coefficient(array, product)
        if factor is not None:
            return name if abs(factor - 1) < 1e-5 else f"{factor:.6g} · {name}"


def coefficient(array, term):
    """k if array is k · term, else None."""
    size = float((term**2).sum())
    if size and array.size > 2:
        factor = float((array * term).sum()) / size
        if fits(factor * term, array):
            return factor


def products(arrays, shape, most):
    """Yield (name, product) of up to `most` arrays, number by number, that has the shape."""
    names = [
        name
        for name, array in arrays.items()
        if array.ndim <= len(shape)
        and all(a in (1, s) for a, s in zip(array.shape[::-1], shape[::-1], strict=False))
    ][:TRIED]
    for count in range(1, most + 1):
        for chosen in itertools.combinations_with_replacement(names, count):
            product = np.ones(())
            for name in chosen:
                product = product * arrays[name]
            if product.shape == shape:
                yield " · ".join(chosen), product


def matrix_products(arrays, shape):
    """Yield (name, product) of the matrix products a b, aᵀ b and a bᵀ and sums Σ a of that shape.

    An array of more than two axes is taken as rows; a product of rows gets their axes back.
    """
    rows = {
        name: array.reshape(-1, array.shape[-1])
        for name, array in list(arrays.items())[:TRIED]
        if array.ndim > 1
    }
    for name, a in rows.items():
        if a.shape[1:] == shape:
            yield f"Σ {name}", a.sum(axis=0)
            yield f"the mean of {name}", a.mean(axis=0)
    if not shape:
        return
    size = int(np.prod(shape))
    for (left, a), (right, b) in itertools.product(rows.items(), repeat=2):
        for name, first, second in (
            (f"{left} @ {right}", a, b),
            (f"{left}ᵀ @ {right}", a.T, b),
            (f"{left} @ {right}ᵀ", a, b.T),
            (f"{left} @ {right}.reshape (which does not transpose)", a, b.reshape(b.shape[::-1])),
        ):
            inner, outer = first.shape[1] == second.shape[0], (len(first), second.shape[1])
            if inner and outer == (size // shape[-1], shape[-1]):
                yield name, (first @ second).reshape(shape)
