import numpy as np
import pytest

import minivit
from minivit.backend import device_of, to_device
from minivit.checks.numeric import random_params
from minivit.models import Reader
from minivit.models.vocabulary import Vocabulary
from minivit.training.step import loss_and_gradients
from tests.numeric import relative_error
from tests.samples import sample

SIZES = dict(
    image_size=(6, 8), patch_size=(6, 2), channels=3, dim=12, depth=1, heads=3, mlp_dim=7, words=6,
    longest=4,
)  # fmt: skip
TEXTS = ["ab", "", "cabb"]
LABELS = Vocabulary("abc").encode(TEXTS, 4)  # (3, 6)


def case(seed=0, **changes):
    rng = np.random.default_rng(seed)
    model = Reader(**SIZES | changes)
    return model, random_params(model, rng), rng.standard_normal((3, 6, 8, 3))


class Told:
    """A reader that is told the labels whenever it goes forward."""

    def __init__(self, model):
        self.model, self.init, self.backward = model, model.init, model.backward

    def forward(self, params, images, rng=None):
        return self.model.forward(params, images, rng, **self.model.told(LABELS))


@pytest.mark.parametrize(
    "changes",
    sample(
        [
            dict(norm="post", positions="sincos1d", dropout=0.2),
            {},
            dict(decoder_positions="rotary"),
        ],
        3,
    ),
)
def test_gradients_equal_the_complex_step(changes):
    model, _, images = case(**changes)

    def loss(logits):
        return model.grade(logits, None, LABELS, smoothing=0.1)[:2]

    report = minivit.gradcheck(Told(model), images, loss=loss)
    assert report.ok, report
    assert max(row.error for row in report.rows if row.verdict == "ok") <= 1e-12


def test_it_is_told_the_text_without_its_last_token():
    model, *_ = case()
    assert model.told(LABELS)["tokens"].tolist() == [
        [1, 3, 4, 2, 0], [1, 2, 0, 0, 0], [1, 5, 3, 4, 4],
    ]  # fmt: skip


def test_without_a_text_it_says_what_the_first_character_is():
    model, params, images = case()
    whole, _ = model.forward(params, images, **model.told(LABELS))
    first, cache = model.forward(params, images, keep=False)
    assert first.shape == (3, 1, 6) and cache is None
    assert relative_error(first[:, 0], whole[:, 0]) <= 1e-12
    with pytest.raises(ValueError, match="Reader: the cache was not kept"):
        model.backward(params, first, cache, params.zeros_like())


def logits_for(texts):
    """Logits (n, 5, 6) that are sure of these texts."""
    rows = Vocabulary("abc").encode(texts, 4)[:, 1:]
    return 9.0 * (np.arange(6) == rows[..., None])


def test_a_text_is_right_if_all_of_its_places_and_its_end_are():
    model, *_ = case()
    for texts, expected in [
        (TEXTS, 3), (["ab", "", "cabc"], 2), (["a", "b", "cab"], 0), (["abc", "", "cabb"], 2),
    ]:  # fmt: skip
        *_, right, asked = model.grade(logits_for(texts), None, LABELS)
        assert (right, asked) == (expected, 3)


def test_the_loss_is_minus_the_logarithm_of_a_texts_probability():
    model, params, images = case()
    logits, _ = model.forward(params, images, **model.told(LABELS))
    loss, dlogits, *_ = model.grade(logits, None, LABELS)
    numer = np.exp(logits)
    chances = numer / numer.sum(axis=-1, keepdims=True)
    expected = 0
    for row, text in enumerate(TEXTS):
        for place in range(len(text) + 1):
            expected -= np.log(chances[row, place, LABELS[row, place + 1]]) / 3
        assert not dlogits[row, len(text) + 1 :].any()
    assert loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_parts_of_a_batch_add_up_to_the_gradients_of_the_whole(at_once, monkeypatch):
    monkeypatch.setattr("minivit.training.step.images_at_once", lambda *_: at_once)
    model, params, images = case()
    grads, whole = params.zeros_like(), params.zeros_like()
    loss, _ = loss_and_gradients(model, params, images, LABELS, grads)
    logits, cache = model.forward(params, images, **model.told(LABELS))
    expected, dlogits, *_ = model.grade(logits, images, LABELS)
    model.backward(params, dlogits, cache, whole)
    assert loss == pytest.approx(expected, rel=1e-12)
    assert relative_error(grads.flat, whole.flat) <= 1e-12


def test_the_repr_is_the_call_that_makes_the_same_model():
    model, *_ = case(dropout=0.1, norm="post")
    assert eval(repr(model), {"Reader": Reader}).config == model.config
    assert model.config["patch_size"] == [6, 2] and model.decoder.length == 5


def test_it_learns_to_read_bars():
    """A picture of four columns; a bright one is an "a", a dim one a "b", and the rest is dark."""
    words = Vocabulary("ab")
    model = Reader(**SIZES | dict(channels=1, words=len(words), dim=16, heads=2, mlp_dim=32))
    rng = np.random.default_rng(0)
    params = minivit.Params(model.init(rng))
    optimizer, grads, rates = minivit.AdamW(params, 1e-2), params.zeros_like(), []
    for _ in range(250):
        texts = ["".join(rng.choice(["a", "b"], rng.integers(0, 5))) for _ in range(32)]
        images = np.zeros((32, 6, 8, 1), np.float32)
        for image, text in zip(images, texts, strict=True):
            for place, character in enumerate(text):
                image[:, 2 * place : 2 * place + 2] = {"a": 1, "b": 0.4}[character]
        labels = words.encode(texts, 4)
        _, right = loss_and_gradients(model, params, images, labels, grads)
        optimizer.step(grads)
        rates.append(right)
    assert np.mean(rates[-10:]) > 0.7 > 0.4 > np.mean(rates[:10])


def test_a_pass_is_the_same_on_every_backend(device):
    model, params, images = case()
    results = []
    for place in ("cpu", device):
        there, its_images = params.to(place), to_device(images, place)
        grads, its_labels = there.zeros_like(), to_device(LABELS, place)
        logits, cache = model.forward(there, its_images, **model.told(its_labels))
        loss, dlogits, right, _ = model.grade(logits, its_images, its_labels)
        dimages = model.backward(there, dlogits, cache, grads)
        assert {device_of(array) for array in (logits, loss, dimages)} == {place}
        results.append([to_device(a, "cpu") for a in (logits, loss, right, dimages, grads.flat)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
