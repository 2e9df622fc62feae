import numpy as np
import pytest

import minivit
from minivit.training.not_finite import all_finite, first_not_finite
from tests.saved_runs import oblong


def case():
    classifier, rng = oblong(dropout=0.1), np.random.default_rng(0)
    images = rng.standard_normal((5, 4, 6, 1)).astype(np.float32)
    return classifier.model, classifier.params, images, np.arange(5) % 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_all_finite(value):
    array = np.ones((3, 4), np.float32)
    assert all_finite(array)
    array[1, 2] = value
    assert not all_finite(array)


def test_the_images():
    model, params, images, labels = case()
    images[3, 1, 2, 0] = np.nan
    assert first_not_finite(model, params, images, labels) == "the batch's images"


@pytest.mark.parametrize("name", ["patches.w", "blocks.1.attn.qkv.b", "head.w"])
def test_a_parameter(name):
    model, params, images, labels = case()
    dict(params.named())[name].flat[-1] = np.inf
    assert first_not_finite(model, params, images, labels) == f"the parameter {name}"


@pytest.mark.parametrize(
    "name, culprit",
    [
        ("blocks.1.attn.qkv.w", "cache blocks.1.attn.q"),
        ("blocks.0.mlp.fc1.w", "cache blocks.0.mlp.act.x"),
        ("head.w", "the model's answer"),
    ],
)
def test_an_array_of_the_forward_after_parameters_that_are_too_large(name, culprit):
    model, params, images, labels = case()
    dict(params.named())[name][...] = 3e38
    assert first_not_finite(model, params, images, labels) == culprit


def test_a_gradient(monkeypatch):
    model, params, images, labels = case()
    real = minivit.layers.Linear.backward

    def faulty(self, params, dy, cache, grads):
        if dy.shape[-1] == 5:  # of fc1
            grads["w"][0, 0] = np.nan
        return real(self, params, dy, cache, grads)

    monkeypatch.setattr(minivit.layers.Linear, "backward", faulty)
    culprit = first_not_finite(model, params, images, labels)
    assert culprit == "the gradient of blocks.1.mlp.fc1.w"  # the first that the backward meets


def test_nothing_but_the_norm():
    assert first_not_finite(*case()) is None
