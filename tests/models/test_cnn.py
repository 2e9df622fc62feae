import numpy as np
import pytest

import minivit
from minivit.checks.numeric import random_params
from minivit.models import CNN
from minivit.models.micro_batch import images_at_once
from tests.numeric import both_ways, passes, relative_error

SMALL = dict(image_size=(4, 8), channels=2, classes=5, dims=(3, 4, 6))


def case(seed=0, **changes):
    rng = np.random.default_rng(seed)
    model = CNN(**SMALL | changes)
    H, W = model.config["image_size"]
    images = rng.standard_normal((3, H, W, model.config["channels"]))
    return model, random_params(model, rng), images, rng.integers(0, 5, 3)


@both_ways
def test_gradients_equal_numeric_ones(differentiate, dtype, limit):
    model, params, images, labels = case()
    _, _, gradients = passes(model, params, images, labels)
    params, images = params.astype(dtype), images.astype(dtype)

    def loss():
        logits, _ = model.forward(params, images, keep=False)
        return minivit.cross_entropy(logits, labels)[0]

    for name, array in [("images", images), *params.named()]:
        assert relative_error(gradients[name], differentiate(loss, array)) <= limit, name


@pytest.mark.parametrize("dims", [(7,), (3, 4), (5, 3, 8)])
def test_logits_and_gradients_equal_pytorch(dims):
    torch = pytest.importorskip("torch")
    from tests import torch_reference

    model, params, images, labels = case(1, dims=dims, channels=3)
    loss, logits, found = passes(model, params, images, labels)
    nest = torch_reference.tensors(params.nest)
    pixels = torch.tensor(images, requires_grad=True)
    twin = torch_reference.cnn(nest, pixels)
    twin_loss = torch.nn.functional.cross_entropy(twin, torch.tensor(labels))
    twin_loss.backward()
    assert loss == pytest.approx(twin_loss.item(), rel=1e-12)
    assert relative_error(logits, twin.detach().numpy()) <= 1e-12
    expected = {"images": pixels.grad.numpy(), **torch_reference.gradients(nest)}
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert relative_error(found[name], gradient) <= 1e-10, name


def test_a_shifted_image_gives_shifted_features_away_from_the_edge():
    model, params, images, _ = case(dims=(3,))
    stage, stage_params = model.stages[0], params["stages"][0]
    y, _ = stage.forward(stage_params, images)
    shifted, _ = stage.forward(stage_params, np.roll(images, 1, axis=2))
    np.testing.assert_allclose(shifted[:, :, 2:-1], y[:, :, 1:-2], rtol=1e-12)


def test_evaluation_keeps_nothing_and_the_repr_makes_the_same_model():
    model, params, images, _ = case()
    logits, cache = model.forward(params, images, keep=False)
    assert cache is None
    np.testing.assert_array_equal(logits, model.forward(params, images)[0])
    with pytest.raises(ValueError, match="call forward with keep=True"):
        model.backward(params, logits, None, params.zeros_like())
    assert eval(repr(model), {"CNN": CNN}).config == model.config
    assert images_at_once(model, params) == 2**17 // (4 * 8 * 3)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"image_size": (4, 6)}, "4 x 6 pixels cannot be halved 2 times, between 3 stages"),
        ({"classes": 0}, "classes must be at least 1, got 0"),
        ({"dims": (3, 0)}, "d_out must be at least 1, got 0"),
    ],
)
def test_refuses_what_cannot_work(change, message):
    with pytest.raises(ValueError, match=message):
        CNN(**SMALL | change)
