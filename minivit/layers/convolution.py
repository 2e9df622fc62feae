"""Convolution (LeCun et al. 1989, Backpropagation Applied to Handwritten Zip Code Recognition)."""

import numpy as np

from ..backend import array_module
from .linear import Linear
from .refusals import expect_shape, positive_integers


def gather_squares(x, side):
    """The square around each pixel, row by row, flattened as (K, K, C); zeros beyond the edge.

    (B, H, W, C) -> (B, H, W, K·K·C)
    """
    xp = array_module(x)
    B, H, W, C = x.shape
    edge = side // 2
    padded = xp.zeros((B, H + 2 * edge, W + 2 * edge, C), x.dtype)
    padded[:, edge : edge + H, edge : edge + W] = x
    squares = xp.empty((B, H, W, side, side, C), x.dtype)
    for i, j in np.ndindex(side, side):  # each pixel's neighbour, i rows down and j to the right
        squares[:, :, :, i, j] = padded[:, i : i + H, j : j + W]
    return squares.reshape(B, H, W, side * side * C)


def scatter_squares(squares, side):
    """Add the squares up where `gather_squares` took them: (B, H, W, K·K·C) -> (B, H, W, C)."""
    xp = array_module(squares)
    B, H, W, _ = squares.shape
    C, edge = squares.shape[3] // side**2, side // 2
    parts = squares.reshape(B, H, W, side, side, C)
    padded = xp.zeros((B, H + 2 * edge, W + 2 * edge, C), squares.dtype)
    for i, j in np.ndindex(side, side):
        padded[:, i : i + H, j : j + W] += parts[:, :, :, i, j]
    return padded[:, edge : edge + H, edge : edge + W].copy()


class Convolution:
    """Each pixel becomes an affine map of the square around it, the same map for all pixels.

        y = squares(x) w + b

    Params   w (K·K·C, D)   b (D,)
    Forward  x (B, H, W, C) -> y (B, H, W, D)
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
        squares = gather_squares(x, self.kernel)  # (B, H, W, 9·C)
        y, cache = self.linear.forward(params, squares)  # (B, H, W, D)
        return y, cache

    def backward(self, params, dy, cache, grads):
        dsquares = self.linear.backward(params, dy, cache, grads)  # (B, H, W, 9·C)
        dx = scatter_squares(dsquares, self.kernel)  # (B, H, W, C)
        return dx
