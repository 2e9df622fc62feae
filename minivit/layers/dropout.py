"""Dropout (Srivastava et al. 2014) and stochastic depth (Huang et al. 2016, arXiv:1603.09382)."""

import numpy as np

from ..backend import array_module


class Dropout:
    """While training, numbers are left out at random, so that the network relies on none of them.

        y = x · mask          mask = 1 / (1 − rate) where a number is kept, else 0

    Params   none
    Forward  x (B, ...), rng -> y (B, ...); without an rng, as in evaluation, y is x itself, and in
             the backward dx is dy itself
    Cache    mask, which broadcasts to x; None where nothing is left out
    Errors   ValueError if rate or path_rate is not at least 0 and less than 1

    Stochastic depth does the same to a whole image: with probability `path_rate` all its numbers
    are left out at once, so that it skips the branch of a block that ends here.

    What is kept grows by 1 / (1 − rate): on average y is x, and evaluation needs no correction. The
    backward uses the forward's mask; with a new one it would be the gradient of something else:

        dx = dy · mask
    """

    def __init__(self, rate, path_rate=0.0):
        self.rate, self.path_rate = float(rate), float(path_rate)
        for name, value in {"rate": self.rate, "path_rate": self.path_rate}.items():
            if not 0 <= value < 1:
                raise ValueError(f"Dropout: {name} must be at least 0 and less than 1, got {value}")

    def forward(self, x, rng=None):
        if rng is None or self.rate == self.path_rate == 0:
            return x, {"mask": None}
        kept = np.ones((len(x), *[1] * (x.ndim - 1)), bool)  # (B, 1, ...)
        if self.path_rate:
            kept = rng.random(kept.shape, np.float32) >= self.path_rate
        if self.rate:
            kept = kept & (rng.random(x.shape, np.float32) >= self.rate)  # (B, ...)
        mask = array_module(x).asarray(kept).astype(x.dtype)
        mask /= (1 - self.rate) * (1 - self.path_rate)
        y = x * mask
        return y, {"mask": mask}

    def backward(self, dy, cache):
        mask = cache["mask"]
        dx = dy if mask is None else dy * mask
        return dx
