"""A step without labels, and one with a part of the tokens."""

import sys

import numpy as np
import pytest

import minivit
from minivit.checks.numeric import random_params
from minivit.data.digits import Split
from minivit.data.normalize import Normalize
from minivit.layers.keep_tokens import draw_places
from minivit.losses import cross_entropy
from minivit.models import Masked, Permutation, micro_batch
from minivit.pretrainer import Pretrainer
from minivit.training import Progress, fit
from minivit.training.not_finite import first_not_finite
from minivit.training.step import loss_and_gradients
from tests.training.cases import OPTIONS, bright_or_dark, progress_of

SIZES = dict(image_size=(4, 6), patch_size=2, channels=1, dim=8, depth=1, heads=2, mlp_dim=5)
MODELS = [
    Masked(**SIZES, seen=0.3, decoder_dim=4, decoder_depth=1),
    Permutation(**SIZES, shown=0.4, dropout=0.1),
]
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
RNG = np.random.default_rng


def gradients(model, images, seed=3, **options):
    params = random_params(model, RNG(0))
    grads = params.zeros_like()
    labels = np.zeros(len(images), int)
    loss, share = loss_and_gradients(
        model, params, images, labels, grads, rngs=[RNG(seed)], **options
    )
    return float(loss), float(share), grads.flat


@each_model
def test_a_step_grades_what_it_drew(model):
    images = RNG(1).standard_normal((5, 4, 6, 1))
    loss, share, flat = gradients(model, images)
    params, rng = random_params(model, RNG(0)), RNG(3)
    places = model.draw(rng, 5)
    answer, cache = model.forward(params, images, rng, places=places)
    expected, danswer, right, asked = model.grade(answer, images, places)
    grads = params.zeros_like()
    model.backward(params, danswer, cache, grads)
    assert (loss, share) == pytest.approx((expected, right / asked))
    np.testing.assert_allclose(flat, grads.flat, rtol=1e-12)
    assert gradients(model, images, seed=4)[0] != loss


def test_micro_batches_change_nothing(monkeypatch):
    images = RNG(1).standard_normal((7, 4, 6, 1))
    for model in (MODELS[0], Permutation(**SIZES)):
        whole = gradients(model, images)
        with monkeypatch.context() as patch:
            patch.setattr(micro_batch, "MICRO_BATCH", 2 * model.numbers)
            parts = gradients(model, images)
        assert parts[0] == pytest.approx(whole[0])
        np.testing.assert_allclose(parts[2], whole[2], rtol=1e-9, atol=1e-12)


def test_a_part_of_the_tokens_is_drawn_for_each_image_beside_the_class_token():
    model = minivit.ViT(**SIZES, classes=3, pool="cls")
    images, labels = RNG(1).standard_normal((5, 4, 6, 1)), np.arange(5) % 3
    params = random_params(model, RNG(0))
    grads, expected = params.zeros_like(), params.zeros_like()
    loss, _ = loss_and_gradients(
        model, params, images, labels, grads, keep_tokens=0.5, rngs=[RNG(3)]
    )
    places = draw_places(RNG(3), 5, 7, 0.5, always=1)
    logits, cache = model.forward(params, images, places=places)
    its_loss, dlogits = cross_entropy(logits, labels)
    model.backward(params, dlogits, cache, expected)
    assert loss == pytest.approx(its_loss)
    np.testing.assert_allclose(grads.flat, expected.flat, rtol=1e-12)


def test_tokens_are_left_out_in_the_first_two_thirds_of_the_epochs(monkeypatch):
    fit_module, shares = sys.modules["minivit.training.fit"], []
    real = fit_module.loss_and_gradients

    def watched(*arguments, keep_tokens, **options):
        shares.append(keep_tokens)
        return real(*arguments, keep_tokens=keep_tokens, **options)

    monkeypatch.setattr(fit_module, "loss_and_gradients", watched)
    fit(progress_of(), *bright_or_dark(), **OPTIONS | dict(epochs=4), keep_tokens=0.5)
    assert shares == [0.5] * 6 + [None] * 6  # 3 steps an epoch


@pytest.mark.parametrize("share", [0, 1.5, -1])
def test_refuses_a_share_of_tokens_that_cannot_be(share):
    with pytest.raises(ValueError, match="keep_tokens is a share of the tokens"):
        fit(progress_of(), *bright_or_dark(), **OPTIONS, keep_tokens=share)


@each_model
def test_every_backend_learns_the_same(model, device):
    trained = []
    for where in ("cpu", device):
        params = minivit.Params(model.init(RNG(0), np.float64)).to(where)
        pixels = RNG(1).integers(0, 256, (30, 4, 6)).astype(np.uint8)
        split = Split(pixels, np.zeros(30, int))
        normalize = Normalize(0.3, 0.4)
        wide = lambda images, normalize=normalize: normalize(images).astype(np.float64)  # noqa: E731
        progress = Progress(Pretrainer(model, params, wide, []), minivit.Adam(params, 0.01))
        fit(progress, split, split, epochs=2, batch_size=8, shards=1, seed=5)
        trained.append((params.to("cpu").flat, progress.validation_losses))
    np.testing.assert_allclose(trained[1][0], trained[0][0], rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(trained[1][1], trained[0][1], rtol=1e-9)


@each_model
def test_what_is_not_finite_is_named(model):
    params = minivit.Params(model.init(RNG(0)))
    images = RNG(1).standard_normal((3, 4, 6, 1)).astype(np.float32)
    last = params["decoder"]["head"] if isinstance(model, Masked) else params["head"]
    last["w"][...] = 3e38
    assert first_not_finite(model, params, images, np.zeros(3, int)) == "the model's answer"
