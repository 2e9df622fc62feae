"""GELU in its tanh form (Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2)."""

import math

from ..backend import array_module

SCALE = math.sqrt(2 / math.pi)
CUBIC = 0.044715


class GELU:
    """A smooth gate: large inputs pass, very negative ones do not, those around zero in part.

        y = ½ x (1 + tanh(inner)),    inner = √(2/π) (x + 0.044715 x³)

    Params   none
    Forward  x (any shape) -> y (same shape)
    Cache    x, tanh

    x reaches y twice, directly and through the tanh, and the two paths add:

        dtanh  = dy · ½ x
        dinner = dtanh · (1 − tanh²)                      since tanh' = 1 − tanh²
        dx     = dy · ½ (1 + tanh) + dinner · √(2/π) (1 + 3 · 0.044715 x²)
    """

    def init(self, rng, dtype=None):
        return {}

    def forward(self, params, x):
        xp = array_module(x)
        inner = SCALE * (x + CUBIC * (x * x * x))  # x ** 3 would be many times slower
        tanh = xp.tanh(inner)
        y = 0.5 * x * (1 + tanh)
        return y, {"x": x, "tanh": tanh}

    def backward(self, params, dy, cache, grads):
        x, tanh = cache["x"], cache["tanh"]
        dtanh = dy * (0.5 * x)
        dinner = dtanh * (1 - tanh * tanh)
        direct = dy * (0.5 * (1 + tanh))
        dx = direct + dinner * (SCALE * (1 + 3 * CUBIC * (x * x)))
        return dx
