"""Convolution (LeCun et al. 1989, Backpropagation Applied to Handwritten Zip Code Recognition)."""

import numpy as np

from ..backend import array_module
from .linear import Linear
from .refusals import expect_shape, positive_integers


def gather_squares(x, side, stride=1):
    """Every square of `side` pixels, `stride` pixels from the next, flattened as (K, K, C).

    (B, H, W, C) -> (B, R, S, K·K·C), R = (H − K) / stride + 1 and S alike
    """
    xp = array_module(x)
    B, H, W, C = x.shape
    R, S = (H - side) // stride + 1, (W - side) // stride + 1
    squares = xp.empty((B, R, S, side, side, C), x.dtype)
    for i, j in np.ndindex(side, side):  # of each square the pixel in row i, column j
        squares[:, :, :, i, j] = x[:, i : i + stride * R : stride, j : j + stride * S : stride]
    return squares.reshape(B, R, S, side * side * C)


def scatter_squares(squares, side, stride=1):
    """Add the squares up where `gather_squares` took them: (B, R, S, K·K·C) -> (B, H, W, C)."""
    xp = array_module(squares)
    B, R, S, _ = squares.shape
    C = squares.shape[3] // side**2
    parts = squares.reshape(B, R, S, side, side, C)
    x = xp.zeros((B, stride * (R - 1) + side, stride * (S - 1) + side, C), squares.dtype)
    for i, j in np.ndindex(side, side):
        x[:, i : i + stride * R : stride, j : j + stride * S : stride] += parts[:, :, :, i, j]
    return x


class Convolution:
    """Each square of pixels becomes one pixel, by the same affine map for all squares.

        y = squares(x) w + b

    Params   w (K·K·C, D)   b (D,)
    Forward  x (B, H, W, C) -> y (B, H, W, D), with zeros beyond the edge, around the outer pixels
    Cache    that of the linear map
    Errors   ValueError if the square has an even side, which has no middle, or x is not C deep

    The projection of patches (patches.py) is the same, of squares that do not overlap. Here they
    do: a pixel is in K² squares, so its gradients come back from all of them, and add up.
    """

    def __init__(self, channels, dim, kernel=3):
        """`kernel` is K, the side of the square in pixels."""
        self.channels, self.kernel = positive_integers(
            "Convolution", channels=channels, kernel=kernel
        )
        if self.kernel % 2 == 0:
            raise ValueError(f"Convolution: kernel must be odd, got {kernel}")
        self.linear = Linear(self.kernel**2 * self.channels, dim)

    def init(self, rng, dtype=np.float32):
        return self.linear.init(rng, dtype)

    def forward(self, params, x):
        expect_shape("Convolution", x, "B", "H", "W", self.channels)
        B, H, W, C = x.shape
        edge = self.kernel // 2
        padded = array_module(x).zeros((B, H + 2 * edge, W + 2 * edge, C), x.dtype)
        padded[:, edge : edge + H, edge : edge + W] = x
        squares = gather_squares(padded, self.kernel)  # (B, H, W, 9·C)
        y, cache = self.linear.forward(params, squares)  # (B, H, W, D)
        return y, cache

    def backward(self, params, dy, cache, grads):
        dsquares = self.linear.backward(params, dy, cache, grads)  # (B, H, W, 9·C)
        dpadded = scatter_squares(dsquares, self.kernel)
        _, H, W, _ = dy.shape
        edge = self.kernel // 2
        dx = dpadded[:, edge : edge + H, edge : edge + W].copy()
        return dx  # (B, H, W, C)
