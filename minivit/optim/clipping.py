"""Clipping by the global norm (Pascanu, Mikolov and Bengio 2012, arXiv:1211.5063, algorithm 1)."""

import numpy as np

from ..backend import array_module
from ..params import Params

LARGE = 1e15  # squares of larger numbers, added up, may overflow in float32


def clip_by_global_norm(grads: Params, max_norm: float) -> np.floating:
    """Scale the gradients, in place, to a global norm of at most `max_norm`; return what it was.

    One norm for all of them keeps their direction. Large gradients are divided by the largest
    before they are squared, so that no square overflows.
    """
    if not max_norm > 0:
        raise ValueError(f"clip_by_global_norm: max_norm must be positive, got {max_norm!r}")
    xp = array_module(grads.flat)
    largest = xp.maximum(grads.flat.max(), -grads.flat.min())
    unit = xp.where((largest > LARGE) & (largest < xp.inf), largest, 1)
    scaled = grads.flat / unit
    norm = xp.sqrt(scaled @ scaled)  # in that unit
    grads.flat *= xp.minimum(1.0, max_norm / unit / (norm + 1e-6 / unit))  # no division by zero
    return norm * unit
