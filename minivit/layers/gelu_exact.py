"""GELU by its definition (Hendrycks and Gimpel 2016, arXiv:1606.08415, equation 1)."""

import math

from ..backend import array_module, special_functions

DENSITY = 1 / math.sqrt(2 * math.pi)  # of a standard normal at 0


class ExactGELU:
    """Each number is weighted by the probability that a standard normal is smaller than it.

        gate = Φ(x) = ½ (1 + erf(x / √2))      y = x · gate

    Params   none
    Forward  x (any shape) -> y (same shape)
    Cache    x, gate
    Errors   ImportError without SciPy, which computes Φ; NumPy has neither Φ nor erf

    Most published models have this form; gelu.py, which Google's have, stays within 5e-4 of it.
    SciPy's `ndtr` is Φ itself: where x is far below zero, 1 + erf would cancel to nothing.

    x reaches y twice, directly and through the gate, whose slope is the normal density φ:

        dgate = dy · x                                 y = x · gate
        dx    = dy · gate + dgate · φ(x)               φ(x) = Φ'(x) = exp(−½ x²) / √(2π)
    """

    def forward(self, x):
        gate = special_functions(x).ndtr(x)  # Φ(x)
        y = x * gate
        return y, {"x": x, "gate": gate}

    def backward(self, dy, cache):
        xp = array_module(dy)
        x, gate = cache["x"], cache["gate"]
        slope = x * x
        slope *= -0.5
        xp.exp(slope, out=slope)
        slope *= DENSITY  # φ(x)
        slope *= x
        slope += gate  # Φ(x) + x φ(x)
        dx = xp.multiply(dy, slope, out=slope)
        return dx
