"""GELU in its tanh form (Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2)."""

import math

from ..backend import array_module

LINEAR = math.sqrt(2 / math.pi)  # √(2/π) (x + 0.044715 x³) = LINEAR x + CUBIC x³
CUBIC = LINEAR * 0.044715


class GELU:
    """A smooth gate: large inputs pass, very negative ones do not, those around zero pass in part.

        inner = √(2/π) (x + 0.044715 x³)      gate = ½ (1 + tanh(inner))      y = x · gate

    Params   none
    Forward  x (any shape) -> y (same shape)
    Cache    x, gate

    x reaches y twice, directly and through the gate, and the two paths add:

        dgate  = dy · x
        dinner = dgate · ½ (1 − tanh²) = dgate · 2 gate (1 − gate)         since tanh' = 1 − tanh²
        dx     = dy · gate + dinner · √(2/π) (1 + 3 · 0.044715 x²)

    Put together, dx = dy · slope with

        slope = gate + 2 x gate (1 − gate) · √(2/π) (1 + 3 · 0.044715 x²)

    These are the widest arrays of the network, so they are built up in place, factor by factor: the
    slope from x gate (1 − gate), which is zero for a large x, before its square could overflow.
    """

    def forward(self, x):
        xp = array_module(x)
        inner = x * x  # x ** 3 would be many times slower
        inner *= CUBIC
        inner += LINEAR
        inner *= x  # √(2/π) (x + 0.044715 x³)
        gate = xp.tanh(inner, out=inner)
        gate += 1
        gate *= 0.5
        y = x * gate
        return y, {"x": x, "gate": gate}

    def backward(self, dy, cache):
        xp = array_module(dy)
        x, gate = cache["x"], cache["gate"]
        bend = 1 - gate
        bend *= gate
        bend *= x  # x gate (1 − gate)
        slope = bend * x
        slope *= x
        slope *= 6 * CUBIC
        bend *= 2 * LINEAR
        slope += bend  # 2 x gate (1 − gate) · √(2/π) (1 + 3 · 0.044715 x²)
        slope += gate
        dx = xp.multiply(dy, slope, out=slope)
        return dx
