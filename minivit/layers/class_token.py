"""The class token (Devlin et al. 2018, arXiv:1810.04805, section 3; ViT, equation 1)."""

import numpy as np

from ..backend import array_module
from .refusals import expect_shape, positive_integers


class ClassToken:
    """One learned token before the patches, in which the blocks collect what the head reads.

        y = [cls, x[0], …, x[N − 1]]

    Params   cls (D,)
    Forward  x (B, N, D) -> y (B, N + 1, D)
    Cache    nothing
    Errors   ValueError if x is not (B, N, D)

    The same token is put before every image of the batch, so its gradient is the sum over the
    batch.
    """

    def __init__(self, dim):
        (self.dim,) = positive_integers("ClassToken", dim=dim)

    def init(self, rng, dtype=np.float32):
        """Zero, as in Google's ViT: the first row of `pos`, added next, sets it apart."""
        return {"cls": np.zeros(self.dim, dtype)}

    def forward(self, params, x):
        expect_shape("ClassToken", x, "B", "N", self.dim)
        xp = array_module(x)
        first = xp.broadcast_to(params["cls"], (len(x), 1, self.dim))  # (B, 1, D)
        y = xp.concatenate([first, x], axis=1)  # (B, N + 1, D)
        return y, {}

    def backward(self, params, dy, cache, grads):
        grads["cls"] += dy[:, 0].sum(axis=0)
        dx = dy[:, 1:].copy()  # (B, N, D)
        return dx
