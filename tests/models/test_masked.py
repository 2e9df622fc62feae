import numpy as np
import pytest

import minivit
from minivit.backend import to_device
from minivit.checks.numeric import random_params
from minivit.layers.patches import cut_patches
from minivit.losses import reconstruction
from minivit.models import Encoder, Masked
from tests.numeric import complex_step, relative_error, without_key_bias
from tests.samples import sample

SIZES = dict(image_size=(4, 6), patch_size=2, channels=3, dim=8, depth=2, heads=2, mlp_dim=7)
RNG = np.random.default_rng


def case(**changes):
    """A model with random parameters, images, and the 2 of 6 patches that it sees of each."""
    decoder = dict(seen=0.3, decoder_dim=12, decoder_depth=1, decoder_heads=3)
    model = Masked(**SIZES | decoder | changes)
    images = RNG(1).standard_normal((3, 4, 6, 3))
    return model, random_params(model, RNG(0)), images, model.draw(RNG(2), 3)


def passes(model, params, images, places, dpainted):
    grads = params.zeros_like()
    painted, cache = model.forward(params, images, places=places)
    dimages = model.backward(params, dpainted, cache, grads)
    return painted, {"images": dimages, **dict(grads.named())}


@pytest.mark.parametrize("positions", sample(["sincos2d", "learned"], 2))
def test_gradients_equal_the_complex_step(positions, device):
    model, params, images, places = case(positions=positions)
    dpainted = RNG(3).standard_normal((3, 6, 14))
    x, dy = (to_device(array, device) for array in (images, dpainted))
    _, gradients = passes(model, params.to(device), x, places, dy)
    params, images = params.astype(complex), images + 0j

    def loss():
        return (model.forward(params, images, places=places)[0] * dpainted).sum()

    for name, array in [("images", images), *params.named()]:
        found, slopes = to_device(gradients[name], "cpu"), complex_step(loss, array)
        found, slopes = without_key_bias(name, found), without_key_bias(name, slopes)
        assert relative_error(found, slopes) <= 1e-12, name


@pytest.mark.parametrize("positions", ["learned", "sincos2d"])
def test_equals_pytorch(positions):
    torch = pytest.importorskip("torch")
    from tests import torch_reference

    model, params, images, places = case(positions=positions)
    dpainted = RNG(3).standard_normal((3, 6, 14))
    painted, gradients = passes(model, params, images, places, dpainted)
    nest, twin = torch_reference.tensors(params.nest), torch.tensor(images, requires_grad=True)
    twin_painted = torch_reference.masked(nest, twin, model.config, places)
    twin_painted.backward(torch.tensor(dpainted))
    assert relative_error(painted, twin_painted.detach().numpy()) <= 1e-10
    expected = {"images": twin.grad.numpy(), **torch_reference.gradients(nest)}
    assert gradients.keys() == expected.keys()
    for name, gradient in expected.items():
        found, gradient = (without_key_bias(name, each) for each in (gradients[name], gradient))
        assert relative_error(found, gradient) <= 1e-10, name


def test_what_is_missing_is_not_seen():
    model, params, images, places = case()
    painted, cache = model.forward(params, images, places=places)
    dimages = model.backward(params, np.ones_like(painted), cache, params.zeros_like())
    dpatches = cut_patches(dimages, 2)
    for b in range(3):
        for n in range(6):
            assert dpatches[b, n].any() == (n in places[b])
    assert places.shape == (3, 2)


def test_without_an_rng_nothing_is_missing_and_with_one_it_draws():
    model, params, images, places = case()
    whole, _ = model.forward(params, images)
    everything = np.tile(np.arange(6), (3, 1))
    given, _ = model.forward(params, images, places=everything)
    np.testing.assert_allclose(given, whole, rtol=1e-9)
    drawn, _ = model.forward(params, images, RNG(2))
    expected, _ = model.forward(params, images, places=places)
    np.testing.assert_array_equal(drawn, expected)


def test_it_grades_its_answers():
    model, params, images, places = case()
    painted, _ = model.forward(params, images, places=places, keep=False)
    loss, dpainted, right, asked = model.grade(painted, images, places)
    expected, dy = reconstruction(painted, cut_patches(images, 2), places)
    assert (loss, asked) == (expected, 3)
    assert right == pytest.approx(3 * (1 - loss))
    np.testing.assert_array_equal(dpainted, dy)


def test_it_is_an_encoder_and_its_repr_makes_it_again():
    model, params, images, places = case()
    assert eval(repr(model)).config == model.config
    encoder = Encoder(**SIZES)
    tokens, _ = encoder.forward(params, images, places=places)
    painted, _ = model.forward(params, images, places=places)
    again, _ = model.decoder.forward(params["decoder"], tokens, places)
    np.testing.assert_array_equal(again, painted)
    _, dropped = model.forward(params, images, places=places, keep=False)
    assert dropped["decoder"]["blocks"] == [None]
    with pytest.raises(ValueError, match="Masked: the cache was not kept"):
        model.backward(params, painted, dropped, params.zeros_like())


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(seen=0), "seen must be more than 0 and less than 1, got 0"),
        (dict(seen=1.0), "seen must be more than 0 and less than 1, got 1.0"),
        (dict(seen=True), "seen must be more than 0"),
        (dict(decoder_dim=10), "dim 10 must be divisible by 4"),
        (dict(decoder_heads=5), "dim 12 is not divisible by heads 5"),
        (dict(decoder_depth=0), "decoder_depth must be at least 1"),
    ],
)
def test_refuses_what_cannot_work(change, message):
    with pytest.raises(ValueError, match=message):
        case(**change)


def test_learns_to_paint_what_is_missing():
    model, rng = case(dim=16)[0], RNG(0)
    params = minivit.Params(model.init(rng))
    optimizer, grads = minivit.AdamW(params, 1e-2), params.zeros_like()
    stripes = rng.standard_normal((40, 4, 1, 1)).repeat(6, 2).repeat(3, 3).astype(np.float32)
    losses = []
    for _ in range(60):
        places = model.draw(rng, 40)
        painted, cache = model.forward(params, stripes, places=places)
        loss, dpainted, _, _ = model.grade(painted, stripes, places)
        model.backward(params, dpainted, cache, grads.zero())
        optimizer.step(grads)
        losses.append(loss)
    assert losses[-1] < 0.6 * losses[0]
