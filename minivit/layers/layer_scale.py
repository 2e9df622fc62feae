"""Layer scale (Touvron et al. 2021, arXiv:2103.17239, equation 4)."""

import numpy as np

from .refusals import expect_shape, positive_integers
from .sums import sum_rows


class LayerScale:
    """Each feature of a branch has a learned share in the residual stream: y = x · w.

    Params   w (D,)
    Forward  x (..., D) -> y (..., D)
    Cache    x
    Errors   ValueError if x is not D wide

    It starts close to zero, so that a deep network begins as almost nothing but its stream, and
    each feature of each branch finds out for itself how much it may add.

        dw = Σ dy · x, over the tokens          dx = dy · w
    """

    def __init__(self, dim, start=1e-5):
        """`start` is the initial value of all of w."""
        (self.dim,) = positive_integers("LayerScale", dim=dim)
        self.start = float(start)

    def init(self, rng, dtype=np.float32):
        return {"w": np.full(self.dim, self.start, dtype)}

    def forward(self, params, x):
        expect_shape("LayerScale", x, ..., self.dim)
        y = x * params["w"]
        return y, {"x": x}

    def backward(self, params, dy, cache, grads):
        grads["w"] += sum_rows(dy * cache["x"])
        dx = dy * params["w"]
        return dx
