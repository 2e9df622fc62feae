import numpy as np
import pytest

import minivit
from minivit.training.not_finite import all_finite, first_not_finite


def case():
    rng = np.random.default_rng(0)
    model = minivit.ViT(
        image_size=4, patch_size=2, channels=1, dim=6, depth=2, heads=2, mlp_dim=5, classes=3,
        dropout=0.1,
    )  # fmt: skip
    params = minivit.Params(model.init(rng))
    params.flat += 0.3 * rng.standard_normal(params.flat.shape).astype(np.float32)
    return model, params, rng.standard_normal((5, 4, 4, 1)).astype(np.float32), np.arange(5) % 3


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
    "name, found",
    [
        ("blocks.1.attn.qkv.w", "cache blocks.1.attn.q"),
        ("blocks.0.mlp.fc1.w", "cache blocks.0.mlp.act.x"),
        ("head.w", "the logits"),
    ],
)
def test_what_the_forward_makes_of_parameters_that_are_too_large(name, found):
    model, params, images, labels = case()
    dict(params.named())[name][...] = 3e38
    assert first_not_finite(model, params, images, labels) == found


def test_a_gradient(monkeypatch):
    model, params, images, labels = case()
    real = minivit.layers.Linear.backward

    def faulty(self, params, dy, cache, grads):
        if dy.shape[-1] == 5:  # of fc1
            grads["w"][0, 0] = np.nan
        return real(self, params, dy, cache, grads)

    monkeypatch.setattr(minivit.layers.Linear, "backward", faulty)
    found = first_not_finite(model, params, images, labels)
    assert found == "the gradient of blocks.1.mlp.fc1.w"  # the first that the backward meets


def test_nothing_but_the_norm():
    assert first_not_finite(*case()) == "the norm of the gradients, though each number is"
