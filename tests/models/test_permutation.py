import numpy as np
import pytest

import minivit
from minivit.backend import to_device
from minivit.checks.numeric import random_params
from minivit.models import Encoder, Permutation
from tests.numeric import complex_step, relative_error, without_key_bias

SIZES = dict(image_size=(4, 6), patch_size=2, channels=3, dim=8, depth=2, heads=2, mlp_dim=7)
RNG = np.random.default_rng


def case(shown=0.4, **changes):
    """A model with random parameters, images, and what it draws for them: 4 of 6 are asked for."""
    model = Permutation(**SIZES | changes, shown=shown)
    images = RNG(1).standard_normal((3, 4, 6, 3))
    return model, random_params(model, RNG(0)), images, model.draw(RNG(2), 3)


def passes(model, params, images, places, dlogits):
    grads = params.zeros_like()
    logits, cache = model.forward(params, images, places=places)
    dimages = model.backward(params, dlogits, cache, grads)
    return logits, {"images": dimages, **dict(grads.named())}


@pytest.mark.parametrize("positions", ["learned", "sincos2d"])
def test_gradients_equal_the_complex_step(positions, device):
    model, params, images, places = case(positions=positions)
    dlogits = RNG(3).standard_normal((3, 4, 6))
    on_device = (to_device(array, device) for array in (images, dlogits))
    x, dy = on_device
    _, gradients = passes(model, params.to(device), x, places, dy)
    params, images = params.astype(complex), images + 0j

    def loss():
        return (model.forward(params, images, places=places)[0] * dlogits).sum()

    for name, array in [("images", images), *params.named()]:
        found, slopes = to_device(gradients[name], "cpu"), complex_step(loss, array)
        found, slopes = without_key_bias(name, found), without_key_bias(name, slopes)
        assert relative_error(found, slopes) <= 1e-12, name


@pytest.mark.parametrize("positions", ["learned", "sincos2d"])
def test_equals_pytorch(positions):
    torch = pytest.importorskip("torch")
    from tests import torch_reference

    model, params, images, places = case(positions=positions)
    dlogits = RNG(3).standard_normal((3, 4, 6))
    logits, gradients = passes(model, params, images, places, dlogits)
    nest, twin = torch_reference.tensors(params.nest), torch.tensor(images, requires_grad=True)
    twin_logits = torch_reference.permutation(nest, twin, model.config, places, model.asked)
    twin_logits.backward(torch.tensor(dlogits))
    assert relative_error(logits, twin_logits.detach().numpy()) <= 1e-10
    expected = {"images": twin.grad.numpy(), **torch_reference.gradients(nest)}
    assert gradients.keys() == expected.keys()
    for name, gradient in expected.items():
        assert relative_error(gradients[name], gradient) <= 1e-10, name


def test_patches_are_drawn_in_any_order_and_a_few_are_shown():
    model, _, _, _ = case()
    places = model.draw(RNG(0), 3000)
    assert places.shape == (3000, 6)
    assert (np.sort(places % 6, axis=1) == np.arange(6)).all()
    assert (places[:, :4] < 6).all() and (places[:, 4:] >= 6).all()
    for column in places.T % 6:
        np.testing.assert_allclose(np.bincount(column), 500, atol=90)
    np.testing.assert_array_equal(model.draw(RNG(0), 3000), places)


def test_an_order_changes_nothing_but_the_order_of_the_answers():
    """Nobody shows where they are, so all that the encoder sees is a set of patches."""
    model, params, images, _ = case(shown=0.0)
    in_order, _ = model.forward(params, images)
    places = model.draw(RNG(5), 3)
    logits, _ = model.forward(params, images, places=places)
    rows = np.arange(3)[:, None]
    np.testing.assert_allclose(logits, in_order[rows, places], rtol=1e-9)
    again, _ = model.forward(params, images, RNG(5))
    np.testing.assert_array_equal(again, logits)


def test_of_the_positions_only_those_that_are_shown_matter():
    model, params, images, places = case()
    logits, cache = model.forward(params, images, places=places)
    grads = params.zeros_like()
    model.backward(params, np.ones_like(logits), cache, grads)
    for place in range(6):
        assert grads["pos"][place].any() == (place in places[:, 4:] - 6)


def test_it_grades_its_answers_and_does_not_count_blank_patches():
    model, _, images, places = case()
    images[:, :2, :2] = [0.5, -1, 2]  # patch 0 has one colour
    images[1] = 0
    logits = RNG(4).standard_normal((3, 4, 6))
    rows = np.arange(3)[:, None], np.arange(4), places[:, :4]
    logits[rows] += 10  # all are right
    logits[0, 1, (places[0, 1] + 1) % 6] = 30  # but one, with ink
    assert places[0, 1] != 0
    loss, dlogits, right, asked = model.grade(logits, images, places)
    with_ink = (places[[0, 2], :4] != 0).sum()
    assert (right, asked) == (with_ink - 1, with_ink)
    expected, drows = minivit.cross_entropy(logits.reshape(12, 6), places[:, :4].ravel())
    assert loss == expected
    np.testing.assert_array_equal(dlogits, drows.reshape(3, 4, 6))


def test_it_is_an_encoder_and_its_repr_makes_it_again():
    model, params, images, _ = case(shown=0.0)
    assert eval(repr(model)).config == model.config
    encoder = Encoder(**SIZES, positions=None)
    tokens, _ = encoder.forward(params, images)
    logits, _ = model.forward(params, images)
    head = params["head"]
    np.testing.assert_allclose(logits, tokens @ head["w"] + head["b"], rtol=1e-9)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(shown=1.0), "shown must be at least 0 and less than 1, got 1.0"),
        (dict(shown=-0.1), "shown must be at least 0"),
        (dict(shown=True), "shown must be"),
        (dict(positions=None), "positions are what some of the patches are shown by"),
        (dict(patch_size=5), "cannot be cut"),
    ],
)
def test_refuses_what_cannot_work(change, message):
    with pytest.raises(ValueError, match=message):
        Permutation(**SIZES | change)


def test_learns_to_put_patches_right():
    model, rng = Permutation(**SIZES), RNG(0)
    params = minivit.Params(model.init(rng))
    optimizer, grads = minivit.AdamW(params, 1e-2), params.zeros_like()
    images = np.arange(6).reshape(2, 3).repeat(2, 0).repeat(2, 1)[None, :, :, None] / 3
    images = (images + 0.1 * rng.standard_normal((40, 4, 6, 3))).astype(np.float32)
    for _ in range(60):
        places = model.draw(rng, 40)
        logits, cache = model.forward(params, images, places=places)
        _, dlogits, right, asked = model.grade(logits, images, places)
        model.backward(params, dlogits, cache, grads.zero())
        optimizer.step(grads)
    assert right / asked > 0.9
