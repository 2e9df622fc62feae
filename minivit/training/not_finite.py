"""Where inf or nan comes from, when a loss is no longer finite."""

import numpy as np

from ..backend import array_module
from .step import answered, drawn


def all_finite(array):
    """Whether no number of the array is inf or nan."""
    return bool(array_module(array).isfinite(array).all())


def parameter_not_finite(params):
    """The name of the first parameter with inf or nan; None if there is none."""
    if not all_finite(params.flat):
        return next(name for name, leaf in params.named() if not all_finite(leaf))
    return None


def first_not_finite(model, params, images, labels):
    """Repeat a step, without dropout, and name the first array with inf or nan.

    Returns "the parameter blocks.0.attn.qkv.w", "cache blocks.0.attn.q" (what the forward keeps),
    "the gradient of head.w" or the like; None if there is none.
    """
    with np.errstate(all="ignore"):
        if not all_finite(images):
            return "the batch's images"
        if name := parameter_not_finite(params):
            return f"the parameter {name}"
        places = drawn(model, np.random.default_rng(0), len(images))
        _, _, dy, cache = answered(model, params, images, labels, places)
        for name, array in _arrays(cache):
            if not all_finite(array):
                return f"cache {name}"
        if not all_finite(dy):
            return "the model's answer"
        grads = params.zeros_like()
        model.backward(params, dy, cache, grads)
        for name, leaf in reversed(grads.named()):  # backward goes from the last to the first
            if not all_finite(leaf):
                return f"the gradient of {name}"
    return None


def _arrays(nest, prefix=""):
    """Yield ("dotted.name", array) for a cache: a layer's own arrays, then its sub-layers'."""
    items = list(nest.items() if isinstance(nest, dict) else enumerate(nest))
    for key, value in items:
        if hasattr(value, "dtype"):
            yield f"{prefix}{key}", value
    for key, value in items:
        if isinstance(value, (dict, list)):
            yield from _arrays(value, f"{prefix}{key}.")
