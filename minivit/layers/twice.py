"""Tokens without and with their positions (after Zhai et al. 2022, arXiv:2207.07611)."""

import numpy as np

from ..backend import array_module


class Twice:
    """Every token stands there twice, first without a position, then with it: y = [x, pos(x)].

    Params   those of the positions, which stand behind it (positions.py, sinusoids.py)
    Forward  x (B, N, D) -> y (B, 2N, D)
    Cache    pos
    Errors   those of the positions

    `KeepTokens` then takes one of the two, and so decides which tokens know where they are: place n
    is token n without a position, place N + n the same with it. x was used twice, so its gradient
    is a sum of two, one of which comes back through the positions:

        dx = dy[:, :N] + dpos
    """

    def __init__(self, pos):
        self.pos = pos

    def init(self, rng, dtype=np.float32):
        return self.pos.init(rng, dtype)

    def forward(self, params, x):
        cache = {}
        placed, cache["pos"] = self.pos.forward(params, x)  # (B, N, D)
        y = array_module(x).concatenate([x, placed], axis=1)  # (B, 2N, D)
        return y, cache

    def backward(self, params, dy, cache, grads):
        N = dy.shape[1] // 2
        dplaced = dy[:, N:]  # (B, N, D)
        dx = self.pos.backward(params, dplaced, cache["pos"], grads)  # (B, N, D)
        dx += dy[:, :N]
        return dx
