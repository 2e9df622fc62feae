import sys

import numpy as np
import pytest

import minivit
from minivit.data.digits import Split
from minivit.data.normalize import Normalize
from minivit.training import evaluate, predict
from minivit.training.step import threads

evaluate_module = sys.modules["minivit.training.evaluate"]  # the name is the function


def case():
    rng = np.random.default_rng(0)
    model = minivit.ViT(
        image_size=4, patch_size=2, channels=1, dim=6, depth=1, heads=2, mlp_dim=5, classes=3
    )
    params = minivit.Params(model.init(rng))
    params.flat += rng.standard_normal(params.flat.shape).astype(np.float32)
    split = Split(rng.integers(0, 256, (17, 4, 4)).astype(np.uint8), rng.integers(0, 3, 17))
    return model, params, split, Normalize.of(split.images)


@pytest.mark.parametrize("at_once", [1, 5, 17, 100])
def test_predictions_do_not_depend_on_how_many_go_at_once(monkeypatch, at_once):
    monkeypatch.setattr(evaluate_module, "images_at_once", lambda *_: at_once)
    model, params, split, prepare = case()
    whole, _ = model.forward(params, prepare(split.images))
    logits = predict(model, params, split.images, prepare)
    np.testing.assert_allclose(logits, whole, rtol=1e-4, atol=1e-5)


def test_predictions_keep_no_cache_and_run_on_threads(monkeypatch):
    model, params, split, prepare = case()
    expected = predict(model, params, split.images, prepare)
    forward = type(model).forward

    def watched(self, params, images, rng=None, *, keep=True):
        assert rng is None
        assert not keep
        return forward(self, params, images, keep=keep)

    monkeypatch.setattr(type(model), "forward", watched)
    monkeypatch.setattr(evaluate_module, "images_at_once", lambda *_: 2)
    with threads(3) as mapper:
        logits = predict(model, params, split.images, prepare, mapper=mapper)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_evaluate():
    model, params, split, prepare = case()
    loss, accuracy, logits = evaluate(model, params, split, prepare)
    expected, _ = minivit.cross_entropy(logits, split.labels)
    assert loss == pytest.approx(expected)
    right = sum(row.argmax() == label for row, label in zip(logits, split.labels, strict=True))
    assert accuracy == right / 17
    assert 0 < right < 17


def test_a_model_of_other_floats():
    model, params, split, prepare = case()
    expected = predict(model, params, split.images, prepare)
    logits = predict(model, params.astype(np.float64), split.images, prepare)
    assert logits.dtype == np.float64
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
