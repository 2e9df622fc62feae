"""The layer between pooling and head (ViT, arXiv:2010.11929, section 3.1: "one hidden layer")."""

import numpy as np

from ..backend import array_module
from .linear import Linear


class PreLogits:
    """The pooled features go through a hidden layer before the head: y = tanh(x w + b).

    Params   w (D, S)   b (S,)
    Forward  x (B, D) -> y (B, S)
    Cache    linear: the cache of the linear map; y
    Errors   those of Linear

    Models pre-trained on ImageNet-21k have it, and BERT's "pooler" is the same. Since tanh' is
    1 − tanh², the gradient of the linear map's output is dy · (1 − y²).
    """

    def __init__(self, dim, size):
        self.linear = Linear(dim, size)

    def init(self, rng, dtype=np.float32):
        return self.linear.init(rng, dtype)

    def forward(self, params, x):
        xp = array_module(x)
        cache = {}
        out, cache["linear"] = self.linear.forward(params, x)  # (B, S)
        y = xp.tanh(out)
        cache["y"] = y
        return y, cache

    def backward(self, params, dy, cache, grads):
        y = cache["y"]
        dout = dy * (1 - y * y)  # (B, S)
        dx = self.linear.backward(params, dout, cache["linear"], grads)  # (B, D)
        return dx
