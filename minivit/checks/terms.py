"""The term or factor that a wrong gradient lacks, by its name among the arrays of the pass."""

import itertools
import re

import numpy as np

from .factors import name_of_factor
from .numeric import fits
from .products import (
    coefficient,
    matrix_products,
    products,
    reads_as,
    reads_with_a_slope,
    slopes_of,
)  # fmt: skip

TERMS = {  # the right gradient minus the wrong one, as a multiple of a term
    1: "it lacks the term {name}",
    -1: "it lacks the term −{name}, or contains {name} once too often",
    2: "the term {name} has the wrong sign: minus instead of plus",
    -2: "the term {name} has the wrong sign: plus instead of minus",
}


def known(m, arrays):
    """Of the arrays of a pass those by which a cause may be told: not the wrong gradient itself."""
    return {
        name: array
        for name, array in arrays.items()
        if name in m.always
        or array.shape != m.analytic.shape
        or coefficient(array, m.analytic) is None
    }


def missing_factor(m):
    """A factor such as a mask or a layer norm's w, missing or in twice; by name if known."""
    arrays = known(m, m.forward)
    for name, factor in [
        *products(arrays, m.numeric.shape, 1),
        *slopes_of(arrays, m.numeric.shape),
    ]:
        if fits(m.analytic * factor, m.numeric):
            return f"the factor {name} is missing"
        if fits(m.numeric * factor, m.analytic):
            return f"the factor {name} appears once too often"


def uneven_factor(m):
    """A factor of its own for each feature or each row."""
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
    for name, term in products(arrays, missing.shape, 3 if missing.size < 500 else 2):
        factor = coefficient(missing, term)
        if factor is not None:
            return _said(name, factor, m)
    for axis in reversed(range(missing.ndim)):
        mean = missing.mean(axis=axis, keepdims=True)
        if missing.shape[axis] > 1 and fits(np.broadcast_to(mean, missing.shape), missing):
            return f"a term is missing or wrong: a constant along axis {axis}, such as a mean"
    for name, array in known(m, m.forward).items():
        if array.shape == missing.shape and array.ndim > 1 and array.shape[-1] > 2:
            size = (array**2).sum(-1, keepdims=True)
            share = (missing * array).sum(-1, keepdims=True) / np.where(size > 0, size, 1)
            if fits(share * array, missing):
                return f"a term is missing or wrong: in every row a multiple of {name}"
    for name, term in matrix_products(arrays, missing.shape):
        factor = coefficient(missing, term)
        if factor is not None:
            return _said(name, factor, m)


def rest_has_the_wrong_sign(m):
    """All of the gradient but one term, which is known by name, has the wrong sign."""
    twice = m.numeric + m.analytic
    for name, term in products(known(m, m.forward | m.backward), twice.shape, 2):
        if coefficient(twice, term) is not None and not fits(twice, 2 * m.numeric):
            return f"all of it but the term in {name} has the wrong sign"


def _said(name, factor, m):
    """The sentence for a right gradient minus the wrong one that is factor · the named term."""
    if sentence := TERMS.get(round(factor, 5)):
        return sentence.format(name=name)
    number, known_as = f"{factor:.6g}", name_of_factor(abs(factor), m)
    what = f" ({known_as})" if "=" in known_as else ""
    return f"it lacks {number} · {name}{what}"


def softmax_gone_wrong(m):
    """A gradient back through a softmax s, s · (ds − Σ s · ds), with a part of it wrong."""
    several = known(m, m.forward | m.backward)
    several = {name: a for name, a in several.items() if a.shape == m.analytic.shape and a.ndim > 1}
    softmaxes = {
        name: s
        for name, s in several.items()
        if (s >= 0).all() and np.allclose(s.sum(axis=-1), 1) and not np.allclose(s.max(axis=-1), 1)
    }
    for (name, s), (other, ds) in itertools.product(softmaxes.items(), several.items()):
        if not fits(s * (ds - (s * ds).sum(axis=-1, keepdims=True)), m.numeric):
            continue
        if fits(s * (1 - s) * ds, m.analytic):
            return (
                f"it uses only the diagonal of the Jacobian, {name} · (1 − {name}) · {other}: the "
                "effect of each number on its own output, not on the others in its row"
            )
        for axis in range(s.ndim - 1):
            if fits(s * (ds - (s * ds).sum(axis=axis, keepdims=True)), m.analytic):
                return f"the sum of {name} · {other} goes over axis {axis}, not over the last"


def other_product(m):
    """The wrong gradient is a product of the pass's arrays, but not the right one."""
    arrays = known(m, m.forward | m.backward)
    arrays = {name: array for name, array in arrays.items() if array.ndim > 0}
    computed = reads_as(m.analytic, arrays) or reads_with_a_slope(m.analytic, arrays)
    if not computed:
        return None
    right = reads_as(m.numeric, arrays) or _with_a_factor(m, computed, arrays)
    # In terms of what backward computes itself, it is just what the source says.
    if right or reads_as(m.analytic, known(m, m.forward)):
        return f"it is {computed}" + (f"; it should be {right}" if right else "")


def _with_a_factor(m, computed, arrays):
    """The right gradient as the same product with one more factor, or with another slope of dy."""
    words = set(re.split(r"[ᵀ ()]+", computed))
    used = {name: array for name, array in arrays.items() if name in words}
    for name in dict.fromkeys([*used, *m.always]):
        array = arrays.get(name)
        if array is None or array.size < 2:
            continue
        for text, factor in [*products(arrays, array.shape, 1), *slopes_of(arrays, array.shape)]:
            longer = f"({name} · {text})"
            if right := reads_as(m.numeric, used | {longer: array * factor}):
                return f"{name} · {text}" if right == longer else right
