"""Layer normalisation (Ba, Kiros and Hinton 2016, arXiv:1607.06450, equations 3 and 4)."""

import math

import numpy as np

from ..backend import array_module
from .refusals import expect_shape, positive_integers
from .sums import mean_features, sum_features, sum_rows


class LayerNorm:
    """Bring every token to mean 0 and variance 1, then rescale and shift each feature.

        centered = x − mean        rstd = (var + eps)^-½        normed = centered · rstd
        y = normed · w + b         mean and var are over the D features of a token; rstd is
                                   "reciprocal standard deviation"

    Params   w (D,)   b (D,)
    Forward  x (..., D) -> y (..., D)
    Cache    normed (..., D), rstd (..., 1)
    Errors   ValueError if x is not D wide (a width of 1 would broadcast and go unnoticed), or
             eps is not positive and finite

    A shift of all features cancels in x − mean, so they are first counted from one of their own:
    the mean of large features would be off by more than there may be between them.

    Gone through line by line, last line first, with sums over the D features, but for dw and db,
    which sum over the tokens:

        dw = Σ dy · normed                          db = Σ dy
        dnormed = dy · w                            y = normed · w + b
        drstd = Σ dnormed · centered                normed = centered · rstd
        dvar = drstd · (−½ rstd³)                   rstd = (var + eps)^-½
        dcentered = dnormed · rstd                  normed = centered · rstd
                  + dvar · (2/D) centered           var = (1/D) Σ centered²
        dmean = −Σ dcentered                        centered = x − mean
        dx = dcentered + (1/D) dmean                centered = x − mean, mean = (1/D) Σ x

    Put together, with centered = normed / rstd:

        dx = rstd · (dnormed − mean(dnormed) − normed · mean(dnormed · normed))

    The gradient loses its mean and (but for eps) its component along `normed`: the two directions
    in which x may move without changing y. Since dnormed = dy · w, mean(dnormed) = (1/D) Σ dy w:
    both means are products with w.
    """

    def __init__(self, dim, eps=1e-6):
        """`eps` keeps the division finite for a token whose features are all equal."""
        (self.dim,) = positive_integers("LayerNorm", dim=dim)
        if not 0 < eps < math.inf:
            raise ValueError(f"LayerNorm: eps must be positive and finite, got {eps!r}")
        self.eps = float(eps)

    def init(self, rng, dtype=np.float32):
        return {"w": np.ones(self.dim, dtype), "b": np.zeros(self.dim, dtype)}

    def forward(self, params, x):
        expect_shape("LayerNorm", x, ..., self.dim)
        xp = array_module(x)
        shifted = x - x[..., :1]  # (..., D)
        mean = mean_features(shifted)  # (..., 1)
        centered = xp.subtract(shifted, mean, out=shifted)  # (..., D)
        var = mean_features(centered * centered)  # (..., 1)
        rstd = 1 / xp.sqrt(var + self.eps)  # (..., 1)
        normed = xp.multiply(centered, rstd, out=centered)
        y = normed * params["w"]
        y += params["b"]
        return y, {"normed": normed, "rstd": rstd}

    def backward(self, params, dy, cache, grads):
        normed, rstd, w = cache["normed"], cache["rstd"], params["w"]
        dy_normed = dy * normed  # (..., D)
        grads["w"] += sum_rows(dy_normed)
        grads["b"] += sum_rows(dy)
        dnormed = dy * w  # (..., D)
        dnormed_mean = sum_features(dy, w) / self.dim  # (..., 1)  mean(dnormed)
        along_normed = sum_features(dy_normed, w) / self.dim  # (..., 1)  mean(dnormed · normed)
        dx = dnormed - dnormed_mean
        dx -= normed * along_normed
        dx *= rstd
        return dx
