"""Causes that show only between the layers inside, or under other circumstances."""

import numpy as np
import pytest

import minivit
from minivit.checks.explain import upstream_gradients
from minivit.checks.numeric import Slopes, random_params
from minivit.layers import GELU, LayerNorm, Linear, PreNormBlock, Softmax

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


class Swapped(LayerNorm):
    def backward(self, params, dy, cache, grads):
        return super().backward(params, dy, cache, {"w": grads["b"], "b": grads["w"]})


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
        (OfOneImage(np.s_[:1]), "w", "it is the gradient of the first image alone"),
        (OfOneImage(np.s_[-1:]), "b", "it is the gradient of the last image alone"),
        (OfOneImage(np.s_[:, :1]), "w", "first token alone, not of all of them"),
        (OfOneImage(np.s_[:, -1:]), "w", "of the last token alone"),
        (OfOneImage(np.s_[:1, :1]), "w", "of the first row alone"),
        (OfOneImage(np.s_[-1:, -1:]), "w", "of the last row alone"),
        (Diagonal(), "x", "it uses only the diagonal of the Jacobian"),
        (WithoutW(5), "x", "it is right where w is 1 everywhere"),
        (Swapped(5), "w", "it is the gradient of b"),
        (Swapped(5), "b", "it is the gradient of w"),
        (BatchMixed(), "x", "it is right for each image alone: look at what mixes the images"),
        (Cubic(), "x", "it is right where x is small: look at the terms that grow with x"),
    ],
)
def test_the_circumstance_shows_the_cause(layer, name, cause):
    report = minivit.gradcheck(layer, X)
    assert cause in {row.name: row.cause for row in report.rows}[name]


def test_each_layer_inside_receives_the_gradient_of_its_output():
    layer, x = PreNormBlock(6, 2, 5), RNG.standard_normal((2, 3, 6))
    slopes = Slopes(layer.forward, random_params(layer, RNG), x, RNG.standard_normal(x.shape), None)
    upstream = list(upstream_gradients(layer, slopes, entries=1000))
    assert [name for name, _, _ in upstream] == [
        "drop2", "ls2", "mlp", "ln2", "drop1", "ls1", "attn", "ln1"
    ]  # fmt: skip
    for _, dy, expected in upstream:
        np.testing.assert_allclose(dy, expected, rtol=1e-6, atol=1e-8)
    assert list(upstream_gradients(layer, slopes, entries=35)) == []


class PassesOnTheWrongThing(PreNormBlock):
    def backward(self, params, dy, cache, grads):
        dmlp = self.mlp.backward(params["mlp"], dy, cache["mlp"], grads["mlp"])
        dbranch = self.ln2.backward(params["ln2"], dmlp, cache["ln2"], grads["ln2"])
        dmid = dbranch + 0.0
        dattn = self.attn.backward(params["attn"], dmid, cache["attn"], grads["attn"])
        return dmid + self.ln1.backward(params["ln1"], dattn, cache["ln1"], grads["ln1"])


def test_the_first_layer_to_receive_a_wrong_gradient_is_named_with_the_cause():
    report = minivit.gradcheck(PassesOnTheWrongThing(6, 2, 5), RNG.standard_normal((2, 3, 6)))
    assert report.upstream == (
        "attn receives a wrong gradient from PassesOnTheWrongThing: it lacks the term dy"
    )
    assert report.culprits == {}
    causes = {row.name: row.cause for row in report.rows}
    assert causes["attn.qkv.w"] is None  # wrong for that reason
    assert report.upstream in str(report)
