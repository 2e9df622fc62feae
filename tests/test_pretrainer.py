import json
from pathlib import Path

import numpy as np
import pytest

import minivit
from minivit.checks.numeric import random_params
from minivit.data.digits import Split
from minivit.data.normalize import Normalize
from minivit.models import Masked, Permutation
from minivit.pretrainer import Pretrainer, is_pretrained

SIZES = dict(image_size=(4, 6), patch_size=2, channels=1, dim=8, depth=2, heads=2, mlp_dim=5)
MODELS = {
    "masked": lambda **more: Masked(**SIZES | more, seen=0.3, decoder_dim=4, decoder_depth=1),
    "permutation": lambda **more: Permutation(**SIZES | more, shown=0.4),
}
each_objective = pytest.mark.parametrize("objective", MODELS)


def untrained(objective, **more):
    model = MODELS[objective](**more)
    params = random_params(model, np.random.default_rng(0)).astype(np.float32)
    return Pretrainer(model, params, Normalize(0.3, 0.4), [])


def images(count=50):
    pixels = np.random.default_rng(1).integers(0, 256, (count, 4, 6)).astype(np.uint8)
    return Split(pixels, np.zeros(count, int))


@each_objective
def test_what_is_saved_is_loaded(objective, tmp_path):
    pretrainer = untrained(objective)
    pretrainer.save(tmp_path)
    assert (
        json.loads((tmp_path / "config.json").read_text())["kind"]
        == type(pretrainer.model).__name__
    )
    assert is_pretrained(tmp_path)
    again = Pretrainer.load(tmp_path)
    assert (type(again.model), again.model.config) == (
        type(pretrainer.model),
        pretrainer.model.config,
    )
    np.testing.assert_array_equal(again.params.flat, pretrainer.params.flat)
    assert (again.normalize, again.classes) == (pretrainer.normalize, [])
    with pytest.raises(ValueError, match="it is of the kind (Masked|Permutation); expected ViT"):
        minivit.Classifier.load(tmp_path)


@each_objective
def test_evaluation_asks_the_same_every_time_and_does_not_look_at_labels(objective, monkeypatch):
    pretrainer, split = untrained(objective), images()
    loss, share, _ = pretrainer.evaluate(split)
    again = pretrainer.evaluate(Split(split.images, split.labels + 7))
    assert again[:2] == (loss, share)
    monkeypatch.setattr("minivit.models.micro_batch.MICRO_BATCH", 7 * 48)
    parts = pretrainer.evaluate(split)[:2]
    np.testing.assert_allclose(parts, (loss, share), rtol=1e-5)


def test_the_share_that_is_right_leaves_out_blank_patches():
    pretrainer, split = untrained("permutation"), images(20)
    split.images[:, :2] = 0  # half of the patches
    model = pretrainer.model
    places = model.draw(np.random.default_rng(0), 20)
    answer, read = pretrainer.answer(split.images, places)
    right, asked = 0, 0
    for b in range(20):
        for i, place in enumerate(places[b, : model.asked]):
            if place >= 3:
                asked += 1
                right += answer[b, i].argmax() == place
    assert pretrainer.evaluate(split)[1] == pytest.approx(right / asked)
    np.testing.assert_array_equal(read, pretrainer.normalize(split.images))


@each_objective
@pytest.mark.parametrize("positions", ["learned", "sincos2d"])
def test_its_body_is_a_vit_that_gives_the_mean_of_its_tokens(objective, positions):
    pretrainer = untrained(objective, positions=positions)
    vit, params = pretrainer.body()
    x = pretrainer.normalize(images(3).images)
    features, _ = vit.forward(params, x)
    tokens, _ = minivit.models.Encoder(**SIZES, positions=positions).forward(params, x)
    np.testing.assert_allclose(features, tokens.mean(axis=1), rtol=1e-5)
    assert ("pos" in params.nest) == (positions == "learned")
    np.testing.assert_array_equal(params["ln"]["w"], pretrainer.params["ln"]["w"])
    assert params["head"] == {}


@each_objective
def test_weights_that_are_too_large_are_noticed(objective):
    pretrainer = untrained(objective)
    pretrainer.params.flat[...] = 3e38
    with pytest.raises(FloatingPointError, match="the loss is"):
        pretrainer.evaluate(images(3))


@pytest.mark.parametrize(
    "objective, changes, message",
    [
        ("masked", dict(kind="Rotation"), "the kind Rotation; expected Permutation or Masked"),
        ("masked", dict(kind=["Masked"]), "of the kind "),
        ("masked", dict(kind="Permutation"), "unexpected keyword argument|does not describe"),
        ("masked", dict(model=3), "does not describe a model"),
        ("masked", dict(seen=2.0), "seen must be more than 0"),
        ("masked", dict(seen="many"), "does not describe a model"),
        ("masked", dict(decoder_dim=10**6), "its decoder has more parameters than"),
        ("masked", dict(decoder_depth=10**9), "its decoder has more parameters than"),
        ("masked", dict(decoder_depth=-1), "decoder_depth must be at least 1"),
        ("masked", dict(dim=10**6), "more parameters than the"),
        ("masked", dict(image_size=[10**6, 10**6]), "are too large"),
        ("permutation", dict(image_size=[16, 24]), "does not fit the model"),
        ("permutation", dict(shown=1.5), "shown must be at least 0"),
        ("permutation", dict(depth=3), "more parameters than|does not fit the model"),
        ("permutation", dict(classes=["a"]), "expected 0 different class names"),
    ],
)
def test_refuses_a_config_that_lies(objective, changes, message, tmp_path):
    untrained(objective).save(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    for name, value in changes.items():
        (config if name in config else config["model"])[name] = value
    path.write_text(json.dumps(config))
    (tmp_path / "checksums.json").unlink()
    with pytest.raises(ValueError, match=message) as refused:
        Pretrainer.load(tmp_path)
    assert str(tmp_path) in str(refused.value)
    assert str(refused.value).isprintable()


def test_only_the_run_of_a_pretrainer_is_one(tmp_path):
    assert not is_pretrained(tmp_path)
    assert not is_pretrained(tmp_path / "nowhere")
    Path(tmp_path, "config.json").write_text("{}")
    assert not is_pretrained(tmp_path)
    Path(tmp_path, "config.json").write_text("[")
    with pytest.raises(ValueError, match="config.json is damaged"):
        is_pretrained(tmp_path)
