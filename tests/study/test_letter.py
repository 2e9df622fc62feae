"""One letter of a reader has the reader's logits and its gradients."""

import numpy as np
import pytest

import minivit
from minivit.checks.numeric import random_params
from minivit.models import Reader
from minivit.study.letter import OneLetter

SIZES = dict(
    image_size=(4, 24), patch_size=(4, 2), channels=1, dim=12, depth=1, heads=3, mlp_dim=5, words=7,
    longest=5, decoder_depth=2,
)  # fmt: skip
TOKENS = np.array([[1, 4, 6, 3, 5]])
PLACE, NEXT = 2, 3


def reader(**changes):
    """A tiny reader with random parameters, and an image."""
    rng = np.random.default_rng(0)
    model = Reader(**SIZES | changes)
    return model, random_params(model, rng), rng.standard_normal((1, 4, 24, 1))


def test_the_letter_has_the_readers_logits_and_its_gradient_is_right():
    model, params, images = reader()
    letter = OneLetter(model, TOKENS, PLACE)
    logits, _ = letter.forward(params, images)
    whole, _ = model.forward(params, images, tokens=TOKENS)
    np.testing.assert_array_equal(logits, whole[:, PLACE])
    report = minivit.gradcheck(letter, images)
    assert report.ok, str(report)


def test_no_later_token_matters_to_it():
    model, params, images = reader()
    others = TOKENS.copy()
    others[:, PLACE + 1 :] = 4
    one, other = (
        OneLetter(model, told, PLACE).forward(params, images)[0] for told in (TOKENS, others)
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("place", [0, 4])
def test_every_place_gives_a_letter(place):
    model, params, images = reader()
    logits, cache = OneLetter(model, TOKENS, place).forward(params, images)
    grads = params.zeros_like()
    dimages = OneLetter(model, TOKENS, place).backward(params, np.ones_like(logits), cache, grads)
    assert dimages.shape == images.shape and np.abs(dimages).max() > 0
