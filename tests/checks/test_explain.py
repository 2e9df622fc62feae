"""Causes that show only under other circumstances."""

import numpy as np
import pytest

import minivit
from minivit.layers import GELU, LayerNorm, Linear, Softmax

RNG = np.random.default_rng(0)
X = RNG.standard_normal((3, 4, 5))


class OfOneImage(Linear):
    def __init__(self, place):
        super().__init__(5, 2)
        self.place = place

    def backward(self, params, dy, cache, grads):
        dx = super().backward(params, dy, cache, {"w": 0 * grads["w"], "b": 0 * grads["b"]})
        x, dy = cache["x"][self.place], dy[self.place]
        grads["w"] += x.reshape(-1, 5).T @ dy.reshape(-1, 2)
        grads["b"] += dy.reshape(-1, 2).sum(axis=0)
        return dx


class Diagonal(Softmax):
    def backward(self, dy, cache):
        return dy * cache["y"] * (1 - cache["y"])


class WithoutW(LayerNorm):
    def backward(self, params, dy, cache, grads):
        return super().backward({"w": np.ones(5), "b": 0}, dy, cache, grads)


class BatchMixed(Softmax):
    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        return dx + 0.3 * (dx.mean(axis=0) - dx) ** 2


class Cubic(GELU):
    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        return dx + cache["x"] ** 2 * np.sin(dy)


@pytest.mark.parametrize(
    "layer, name, cause",
    [
        (OfOneImage(np.s_[:1]), "w", "it is that of the first image alone"),
        (OfOneImage(np.s_[-1:]), "b", "it is that of the last image alone"),
        (
            OfOneImage(np.s_[:, :1]),
            "w",
            "that of the first token alone: it must be summed over the",
        ),
        (OfOneImage(np.s_[:, -1:]), "w", "that of the last token alone"),
        (OfOneImage(np.s_[:1, :1]), "w", "that of the first row alone"),
        (OfOneImage(np.s_[-1:, -1:]), "w", "that of the last row alone"),
        (Diagonal(), "x", "only the diagonal of the Jacobian is there"),
        (WithoutW(5), "x", "it is right where w is 1 everywhere"),
        (BatchMixed(), "x", "it is right for a single image: look at what joins the images"),
        (Cubic(), "x", "it is right where x is small: look at the terms that grow with x"),
    ],
)
def test_the_circumstance_says_the_cause(layer, name, cause):
    report = minivit.gradcheck(layer, X)
    (found,) = [row.cause for row in report.rows if row.name == name]
    assert cause in found
