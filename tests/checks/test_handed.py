"""Between the layers inside: what each is handed, and where that goes wrong."""

import numpy as np

import minivit
from minivit.checks.handed import handed_on
from minivit.checks.numeric import random_params
from minivit.checks.slopes import Slopes
from minivit.layers import PreNormBlock

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3, 6))


def slopes_of(layer):
    return Slopes(layer.forward, random_params(layer, RNG), X, RNG.standard_normal(X.shape), None)


def test_each_layer_is_handed_the_gradient_of_its_output():
    layer = PreNormBlock(6, 2, 5)
    handed = list(handed_on(layer, slopes_of(layer), entries=1000))
    assert [name for name, _, _ in handed] == ["drop2", "mlp", "ln2", "drop1", "attn", "ln1"]
    for _, dy, expected in handed:
        np.testing.assert_allclose(dy, expected, rtol=1e-6, atol=1e-8)
    assert list(handed_on(layer, slopes_of(layer), entries=35)) == []


class HandsOnTheWrongThing(PreNormBlock):
    def backward(self, params, dy, cache, grads):
        dmlp = self.mlp.backward(params["mlp"], dy, cache["mlp"], grads["mlp"])
        dbranch = self.ln2.backward(params["ln2"], dmlp, cache["ln2"], grads["ln2"])
        dmid = dbranch + 0.0
        dattn = self.attn.backward(params["attn"], dmid, cache["attn"], grads["attn"])
        return dmid + self.ln1.backward(params["ln1"], dattn, cache["ln1"], grads["ln1"])


def test_the_first_that_is_handed_a_wrong_gradient_is_named_with_the_cause():
    report = minivit.gradcheck(HandsOnTheWrongThing(6, 2, 5), X)
    assert report.handed == (
        "attn is handed a wrong gradient by HandsOnTheWrongThing: it lacks the term dy"
    )
    assert report.culprits == {}
    causes = {row.name: row.cause for row in report.rows}
    assert causes["attn.qkv.w"] is None  # wrong for that reason
    assert report.handed in str(report)
