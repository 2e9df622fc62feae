"""A stage of a convolutional network, with layer norm (Liu et al. 2022, arXiv:2201.03545)."""

import numpy as np

from .convolution import Convolution
from .gelu import GELU
from .layernorm import LayerNorm


class Stage:
    """Each pixel looks at its neighbours; what it sees is normalised and gated.

        y = act(ln(conv(x)))

    Params   conv, ln
    Forward  x (B, H, W, C) -> y (B, H, W, D)
    Cache    conv, ln, act: the caches of the three

    The backward runs the three in reverse.
    """

    def __init__(self, channels, dim):
        self.conv = Convolution(channels, dim)
        self.ln = LayerNorm(dim)
        self.act = GELU()

    def init(self, rng, dtype=np.float32):
        return {"conv": self.conv.init(rng, dtype), "ln": self.ln.init(rng, dtype)}

    def forward(self, params, x):
        cache = {}
        seen, cache["conv"] = self.conv.forward(params["conv"], x)  # (B, H, W, D)
        normed, cache["ln"] = self.ln.forward(params["ln"], seen)  # (B, H, W, D)
        y, cache["act"] = self.act.forward(normed)  # (B, H, W, D)
        return y, cache

    def backward(self, params, dy, cache, grads):
        dnormed = self.act.backward(dy, cache["act"])  # (B, H, W, D)
        dseen = self.ln.backward(params["ln"], dnormed, cache["ln"], grads["ln"])  # (B, H, W, D)
        dx = self.conv.backward(params["conv"], dseen, cache["conv"], grads["conv"])
        return dx  # (B, H, W, C)
