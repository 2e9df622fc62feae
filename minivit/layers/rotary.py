"""Rotary positions (Su et al. 2021, arXiv:2104.09864, equation 34)."""

from ..backend import array_module
from .refusals import expect_shape, positive_integers


def angles(xp, start, T, d):
    """The angles by which the places from `start` on are turned: (T, d/2), in float64.

    Place p turns its pair i by p · 10000^(−2i/d), the rates of sinusoids.py.
    """
    place = xp.arange(start, start + T)[:, None]  # (T, 1)
    rates = 10000.0 ** (-xp.arange(0, d, 2) / d)  # (d/2,)
    return place * rates  # (T, d/2)


def rotate(x, start=0):
    """Turn the pairs of features of x (..., T, d) by the angles of the places from `start` on."""
    return turned(x, start, 1)


def rotate_back(dy, start=0):
    """Turn them back: the backward of `rotate`, as well as its inverse."""
    return turned(dy, start, -1)


def turned(x, start, direction):
    """x (..., T, d), each pair turned by its angle: 1 forwards, −1 back."""
    xp = array_module(x)
    T, d = x.shape[-2:]
    angle = angles(xp, start, T, d)  # (T, d/2)
    cos = xp.cos(angle).astype(x.real.dtype)  # (T, d/2)
    sin = (direction * xp.sin(angle)).astype(x.real.dtype)  # (T, d/2)
    first, second = x[..., ::2], x[..., 1::2]  # 2 x (..., T, d/2)
    y = xp.empty(x.shape, x.dtype)  # (..., T, d)
    y[..., ::2] = first * cos - second * sin
    y[..., 1::2] = first * sin + second * cos
    return y


class Rotary:
    """Features are taken in pairs, and each pair is turned by an angle that tells the place.

        y[2i]     = x[2i] cos − x[2i + 1] sin
        y[2i + 1] = x[2i] sin + x[2i + 1] cos         of the angle  place · 10000^(−2i/d)

    Params   none
    Forward  x (B, h, T, d), start -> y (B, h, T, d); the first token stands at place `start`
    Cache    start
    Errors   ValueError if d is odd, or x is not (B, h, T, d)

    Queries and keys are turned before they meet, values are not. A query at place t meets a key at
    place s with the angles t and s, and in their product only the difference t − s is left: the
    score says how far away the other is, and is the same wherever both stand.

    A turn is a matrix whose inverse is its transpose, and dx = (transpose) dy. So the gradient is
    turned back by the same angle, and keeps its length:

        dx[2i]     = dy[2i] cos + dy[2i + 1] sin
        dx[2i + 1] = dy[2i + 1] cos − dy[2i] sin
    """

    def __init__(self, width):
        """width: d, of a head."""
        (self.width,) = positive_integers("Rotary", width=width)
        if self.width % 2:
            raise ValueError(f"Rotary: the width {width} of a head must be even: it turns pairs")

    def forward(self, x, start=0):
        expect_shape("Rotary", x, "B", "h", "T", self.width)
        y = rotate(x, start)  # (B, h, T, d)
        return y, {"start": start}

    def backward(self, dy, cache):
        dx = rotate_back(dy, cache["start"])  # (B, h, T, d)
        return dx
