"""Softmax over the last axis (Goodfellow et al., Deep Learning, equation 6.29)."""

import numpy as np


class Softmax:
    """Turn a row of scores into positive weights that sum to one: y[i] = exp(x[i]) / Σⱼ exp(x[j]).

    Subtracting the row's largest score changes nothing, as it cancels in the fraction, but keeps
    exp from overflowing.

    Params   none
    Forward  x (..., T) -> y (..., T)
    Cache    y

        dx[j] = y[j] (dy[j] − Σᵢ dy[i] y[i])
    """

    def forward(self, x):
        numer = np.exp(x - x.max(axis=-1, keepdims=True))
        y = numer / numer.sum(axis=-1, keepdims=True)
        return y, {"y": y}

    def backward(self, dy, cache):
        y = cache["y"]
        average = (dy * y).sum(axis=-1, keepdims=True)
        dx = y * (dy - average)
        return dx
