"""Layer normalisation (Ba, Kiros and Hinton 2016, arXiv:1607.06450, equations 3 and 4)."""

import numpy as np


class LayerNorm:
    """Bring every token to mean 0 and variance 1, then rescale and shift each feature.

        centered = x − mean        rstd = (var + eps)^-½        normed = centered · rstd
        y = normed · w + b         mean and var are over the D features of a token; rstd is
                                   "reciprocal standard deviation"

    Params   w (D,)   b (D,)
    Forward  x (..., D) -> y (..., D)
    Cache    normed (..., D), rstd (..., 1)

        dnormed = dy · w
        dx = rstd · (dnormed − mean(dnormed) − normed · mean(dnormed · normed))
    """

    def __init__(self, dim, eps=1e-6):
        self.dim, self.eps = dim, eps

    def init(self, rng, dtype=np.float32):
        return {"w": np.ones(self.dim, dtype), "b": np.zeros(self.dim, dtype)}

    def forward(self, params, x):
        centered = x - x.mean(axis=-1, keepdims=True)
        var = (centered * centered).mean(axis=-1, keepdims=True)
        rstd = 1 / np.sqrt(var + self.eps)
        normed = centered * rstd
        y = normed * params["w"] + params["b"]
        return y, {"normed": normed, "rstd": rstd}

    def backward(self, params, dy, cache, grads):
        normed, rstd = cache["normed"], cache["rstd"]
        tokens = tuple(range(dy.ndim - 1))  # all axes but the features
        grads["w"] += (dy * normed).sum(axis=tokens)
        grads["b"] += dy.sum(axis=tokens)
        dnormed = dy * params["w"]
        mean = dnormed.mean(axis=-1, keepdims=True)
        along = (dnormed * normed).mean(axis=-1, keepdims=True)
        dx = rstd * (dnormed - mean - normed * along)
        return dx
