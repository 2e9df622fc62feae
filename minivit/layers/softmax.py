"""Softmax over the last axis (Goodfellow et al., Deep Learning, equation 6.29)."""

from ..backend import array_module


class Softmax:
    """Turn a row of scores into positive weights that sum to one: y[i] = exp(x[i]) / Σⱼ exp(x[j]).

    Params   none
    Forward  x (..., T) -> y (..., T)
    Cache    y

    Subtracting the row's largest score changes nothing, as it cancels in the fraction, but keeps
    exp from overflowing.

    Raising one score raises its own weight and lowers all others:

        ∂y[i]/∂x[j] = y[i] (δ[i, j] − y[j])        δ[i, j] = 1 if i = j, else 0

    Summed over all the weights that score j moves,

        dx[j] = Σᵢ dy[i] y[i] (δ[i, j] − y[j]) = y[j] (dy[j] − Σᵢ dy[i] y[i])

    The last sum is the average of dy under the weights y: only what deviates from it moves a score.
    (A dy of all ones therefore gives no gradient at all, and checks nothing.)
    """

    def forward(self, x):
        xp = array_module(x)
        shifted = x - x.max(axis=-1, keepdims=True)
        numer = xp.exp(shifted, out=shifted)
        total = numer.sum(axis=-1, keepdims=True)  # (..., 1)
        y = xp.divide(numer, total, out=numer)
        return y, {"y": y}

    def backward(self, dy, cache):
        y = cache["y"]
        average = (dy * y).sum(axis=-1, keepdims=True)  # (..., 1)
        dx = dy - average
        dx *= y
        return dx
