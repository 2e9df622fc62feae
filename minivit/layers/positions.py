"""Learned positions (ViT, arXiv:2010.11929, equation 1)."""

import numpy as np

from .initial import truncated_normal
from .refusals import expect_shape, positive_integers


class Positions:
    """A learned vector for each place, added to the token at that place: y = x + pos.

    Params   pos (T, D)
    Forward  x (B, T, D) -> y (B, T, D)
    Cache    nothing
    Errors   ValueError if x is not (B, T, D)

    Attention itself does not know where a token stands: without positions, shuffled patches give
    the same answer. The same positions were added to every image of the batch, so dpos is the sum
    over the batch.
    """

    def __init__(self, tokens, dim):
        self.tokens, self.dim = positive_integers("Positions", tokens=tokens, dim=dim)

    def init(self, rng, dtype=np.float32):
        return {"pos": truncated_normal(rng, (self.tokens, self.dim), 0.02, dtype)}

    def forward(self, params, x):
        expect_shape("Positions", x, "B", self.tokens, self.dim)
        y = x + params["pos"]  # (B, T, D)
        return y, {}

    def backward(self, params, dy, cache, grads):
        grads["pos"] += dy.sum(axis=0)
        dx = dy.copy()  # (B, T, D)
        return dx
