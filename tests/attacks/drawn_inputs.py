"""Inputs of a size around 1, many of them with nothing to see: equal, constant or zero tokens."""

import numpy as np


def token_axis(shape):
    """The axis along which tokens, or the rows of an image, follow one another."""
    return 1 if len(shape) > 2 else 0


def equal_tokens(rng, shape):
    x, axis = rng.standard_normal(shape), token_axis(shape)
    return np.repeat(x.take([0], axis), shape[axis], axis)


def two_equal_tokens(rng, shape):
    x = rng.standard_normal(shape)
    along = np.moveaxis(x, token_axis(shape), 0)  # a view
    along[-1] = along[0]
    return x


def some_constant(rng, shape):
    """Half of all tokens have equal features."""
    x = rng.standard_normal(shape)
    chosen = rng.random(shape[:-1]) < 0.5
    x[chosen] = x[chosen][..., :1]
    return x


def mixed(rng, shape):
    """Each token, or each number, has a scale of its own, over ten powers of ten."""
    of_tokens = (*shape[:-1], 1) if rng.random() < 0.5 else shape
    return rng.standard_normal(shape) * 10 ** rng.uniform(-10, 0, of_tokens)


INPUTS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "one number": lambda rng, shape: np.full(shape, rng.standard_normal()),
    "constant tokens": lambda rng, shape: np.broadcast_to(
        rng.standard_normal((*shape[:-1], 1)), shape
    ),
    "some tokens constant": some_constant,
    "equal tokens": equal_tokens,
    "two equal tokens": two_equal_tokens,
    "equal images": lambda rng, shape: np.broadcast_to(rng.standard_normal(shape[1:]), shape),
    "zeros": lambda rng, shape: np.zeros(shape),
    "half zeros": lambda rng, shape: rng.standard_normal(shape) * (rng.random(shape) < 0.5),
    "an offset": lambda rng, shape: (
        rng.choice([-1, 1]) + 10 ** rng.uniform(-8, 0) * rng.standard_normal(shape)
    ),
    "whole numbers": lambda rng, shape: rng.integers(-2, 3, shape).astype(float),
    "mixed scales": mixed,
}
