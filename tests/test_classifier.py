import json
import re
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import safetensors.numpy

import minivit
from minivit.checksums import CHECKSUMS, write_summed
from minivit.data.digits import Split
from minivit.data.framing import Framing
from minivit.data.images import load_pixels
from minivit.data.normalize import Normalize
from minivit.data.scans import read_digit
from minivit.files import write_json
from minivit.threads import threads
from tests.saved_runs import OBLONG, oblong, untrained
from tests.test_house import ROOT

SAMPLES = ROOT / "demos" / "samples"


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch):
    monkeypatch.setattr("minivit.classifier.images_at_once", lambda *_: 125)


def some(count, *shape):
    return np.random.default_rng(1).integers(0, 256, (count, *shape), np.uint8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 125, 126, 300])
def test_logits_and_probabilities_are_those_of_the_model(count, dtype):
    classifier, images = oblong(dtype), some(count, 4, 6)
    normalized = classifier.normalize(images).astype(dtype)
    expected, _ = classifier.model.forward(classifier.params, normalized)
    logits = classifier.logits(images)
    assert logits.dtype == dtype
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    powers = np.exp(expected)
    probabilities = classifier.predict(images)
    assert probabilities.dtype == dtype
    np.testing.assert_allclose(probabilities, powers / powers.sum(axis=1, keepdims=True), rtol=1e-4)


@pytest.mark.parametrize("images", [some(0, 4, 6), some(0, 4, 6, 1), [], range(0)], ids=str)
def test_of_no_images_there_are_no_answers(images):
    classifier = oblong()
    for answers in (classifier.logits(images), classifier.predict(images)):
        assert (answers.shape, answers.dtype) == ((0, 3), np.float32)
    loss, accuracy, logits = classifier.evaluate(Split(some(0, 4, 6), np.zeros(0, int)))
    assert np.isnan([loss, accuracy]).all()
    assert logits.shape == (0, 3)


def test_evaluates_a_split():
    classifier, images = oblong(), some(300, 4, 6)
    labels = np.arange(300) % 3
    loss, accuracy, logits = classifier.evaluate(Split(images, labels))
    np.testing.assert_array_equal(logits, classifier.logits(images))
    assert loss == pytest.approx(minivit.cross_entropy(logits, labels)[0])
    assert accuracy == np.mean(logits.argmax(axis=1) == labels)
    assert 0 < accuracy < 1


def test_images_may_come_one_after_another():
    classifier, images = oblong(), some(300, 4, 6)
    expected = classifier.predict(images)
    np.testing.assert_array_equal(classifier.predict(image for image in images), expected)
    np.testing.assert_array_equal(classifier.predict(list(images)), expected)
    np.testing.assert_array_equal(classifier.predict(images[..., None]), expected)


def test_memory_does_not_grow_with_the_number_of_images():
    classifier = oblong()

    def peak(count):
        tracemalloc.start()
        classifier.predict(np.full((4, 6), i % 256, np.uint8) for i in range(count))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(125)
    few, many = peak(500), peak(8000)
    assert many - few < 7500 * 3 * 4 * 3  # the answers themselves, and a copy of them


def test_threads_share_one_and_keep_no_cache(monkeypatch):
    classifier, forward = oblong(), minivit.ViT.forward
    parts = [some(200, 4, 6) ^ np.uint8(number) for number in range(8)]
    expected = [classifier.predict(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(classifier.predict, parts * 4)
        for answer, alone in zip(answers, expected * 4, strict=True):
            np.testing.assert_array_equal(answer, alone)

    def watched(self, params, images, rng=None, *, keep=True):
        assert (rng, keep) == (None, False)
        return forward(self, params, images, keep=keep)

    monkeypatch.setattr(minivit.ViT, "forward", watched)
    images = np.concatenate(parts)
    with threads(3) as mapper:
        logits = classifier.logits(images, mapper)
    np.testing.assert_array_equal(logits, classifier.logits(images))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pool", ["mean", "cls"])
def test_what_was_saved_is_loaded(tmp_path, pool, dtype):
    classifier = oblong(dtype, pool=pool, dropout=0.1, norm="post")
    classifier.save(tmp_path)
    again = minivit.Classifier.load(tmp_path)
    assert again.model.config == classifier.model.config
    assert (again.normalize, again.classes) == (classifier.normalize, ["a", "b", "c"])
    assert [name for name, _ in again.params.named()] == [n for n, _ in classifier.params.named()]
    np.testing.assert_array_equal(again.params.flat, classifier.params.flat)
    assert again.params.flat.dtype == dtype
    images = some(3, 4, 6)
    np.testing.assert_array_equal(again.logits(images), classifier.logits(images))


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json"])
def test_a_flipped_bit_is_refused_by_the_name_of_the_file(tmp_path, name):
    oblong().save(tmp_path)
    path = tmp_path / name
    whole = path.read_bytes()
    for place in (-1, -3, len(whole) // 2):
        data = bytearray(whole)
        data[place] ^= 2
        path.write_bytes(data)
        with pytest.raises(ValueError, match=f"{name} is damaged.*Put back a good copy; resuming"):
            minivit.Classifier.load(tmp_path)
    path.write_bytes(whole)
    minivit.Classifier.load(tmp_path)


def test_a_run_of_an_earlier_version_is_loaded_with_a_warning(tmp_path):
    classifier = oblong()
    classifier.save(tmp_path)
    (tmp_path / CHECKSUMS).unlink()
    with pytest.warns(UserWarning, match=f"^{tmp_path} has no checksums.json, as it is of") as said:
        again = minivit.Classifier.load(tmp_path)
    assert [warning.filename for warning in said] == [__file__]
    np.testing.assert_array_equal(again.params.flat, classifier.params.flat)


BICUBIC = Framing(0.7, True, "bicubic")


def framed(framing):
    plain = untrained(["cat", "dog"], image_size=(8, 12), patch_size=4, channels=3)
    return minivit.Classifier(plain.model, plain.params, plain.normalize, plain.classes, framing)


def test_the_framing_is_kept(tmp_path):
    classifier = framed(BICUBIC)
    classifier.save(tmp_path)
    preparation = json.loads((tmp_path / "config.json").read_text())["preparation"]
    assert preparation == dict(mean=0.13, std=0.31, crop=0.7, squash=True, interpolation="bicubic")
    for again in (minivit.Classifier.load(tmp_path), classifier.with_params(classifier.params)):
        assert (again.framing, again.normalize) == (BICUBIC, classifier.normalize)


def test_an_answer_that_is_not_finite_is_refused_with_its_cause():
    classifier, images = oblong(), some(2, 4, 6)
    split = Split(images, np.zeros(2, int))
    large = classifier.with_params(classifier.params.of(classifier.params.flat * np.float32(1e38)))
    pixels = "with the mean and std in its config the pixels become as large as"
    for normalize, cause in [
        (Normalize(1e308, 0.3), f"{pixels} inf"),
        (Normalize(0.1, 1e-320), f"{pixels} inf"),
        (None, "its weights are as large as [1-3].*e\\+38"),
    ]:
        same = classifier.model, classifier.params, normalize, classifier.classes
        wrong = minivit.Classifier(*same) if normalize else large
        message = f"the model's answer is not finite: {cause}"
        for ask in (wrong.logits, wrong.predict, lambda _, wrong=wrong: wrong.evaluate(split)):
            with pytest.raises(FloatingPointError, match=message):
                ask(images)


def test_logits_further_apart_than_any_loss_can_say_are_refused():
    classifier = oblong()
    head = classifier.params["head"]
    head["w"][...], head["b"][...] = 0, [3e38, -3e38, 0]
    with pytest.raises(FloatingPointError, match="not finite: its weights are as large as 3e"):
        classifier.logits(some(2, 4, 6))


def config_with(folder, part, **changes):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config[part] |= changes
    write_json(path, config, write_summed)


def test_older_runs_frame_the_middle(tmp_path):
    framed(BICUBIC).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["preparation"] = {"mean": 0.2, "std": 0.4}
    write_json(tmp_path / "config.json", config, write_summed)
    again = minivit.Classifier.load(tmp_path)
    assert (again.framing, again.normalize) == (Framing(), Normalize(0.2, 0.4))


@pytest.mark.parametrize(
    "part, changes, message",
    [
        ("preparation", dict(crop=10**400), "crop is a share from 0.01 to 1, got 10+$"),
        ("preparation", dict(crop="all"), "crop is a share from 0.01 to 1, got 'all'"),
        ("preparation", dict(squash=None), "squash is true or false, got None"),
        ("preparation", dict(interpolation="nearest"), "interpolation is one of .*'nearest'"),
        ("preparation", dict(colour="blue"), "unexpected keyword argument 'colour'"),
        ("model", dict(classes=0), "it has no classes, only features; give it a head"),
        ("model", dict(pre_logits=10**9), "it has more parameters than the"),
        ("model", dict(pre_logits=0), "pre_logits must be at least 1, got 0"),
        ("model", dict(layer_scale="x"), "could not convert string to float: 'x'"),
    ],
)
def test_refuses_a_config_that_describes_no_classifier(tmp_path, part, changes, message):
    framed(BICUBIC).save(tmp_path)
    config_with(tmp_path, part, **changes)
    with pytest.raises(ValueError, match="config.json does not describe a model: .*") as refused:
        minivit.Classifier.load(tmp_path)
    assert re.search(message, str(refused.value))
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        dict(pre_logits=2, classes=7),  # fewer numbers than a head on all of dim
        dict(pre_logits=9),
        dict(pool="patch_mean", layer_scale=0.3, norm_pooled=True, activation="gelu_exact"),
    ],
    ids=str,
)
def test_what_published_models_have_is_saved_and_loaded(tmp_path, changes):
    changes = dict(changes)
    classes = [str(number) for number in range(changes.pop("classes", 3))]
    classifier = untrained(classes, **(OBLONG | dict(pool="cls", depth=1) | changes))
    classifier.save(tmp_path)
    again = minivit.Classifier.load(tmp_path)
    assert again.model.config == classifier.model.config
    images = some(3, 4, 6)
    np.testing.assert_array_equal(again.logits(images), classifier.logits(images))


def test_weights_are_found_by_their_names_whatever_their_order(tmp_path):
    """As in runs that were saved before the file recorded an order."""
    classifier = oblong(depth=12)
    classifier.save(tmp_path)
    weights = dict(reversed(classifier.params.named()))
    write_summed(tmp_path / "weights.safetensors", safetensors.numpy.save(weights))
    again = minivit.Classifier.load(tmp_path)
    np.testing.assert_array_equal(again.params.flat, classifier.params.flat)


def test_no_training_code_is_imported(tmp_path):
    oblong().save(tmp_path)
    code = (
        "import sys, numpy, minivit; c = minivit.Classifier.load(sys.argv[1]); "
        "c.predict(numpy.zeros((2, 4, 6), numpy.uint8)); "
        "print([m for m in sys.modules if m.startswith(('minivit.training', 'tqdm', 'cv2', "
        "'matplotlib', 'threadpoolctl', 'filelock'))])"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert printed.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "images, error, message",
    [
        (some(4, 6), ValueError, r"image of shape \(6,\); the model was trained on \(4, 6, 1\)"),
        (some(2, 6, 4), ValueError, r"image of shape \(6, 4\); the model was trained on"),
        (some(2, 4, 6, 3), ValueError, r"image of shape \(4, 6, 3\); the model"),
        (some(2, 4, 6) / 255, TypeError, "images are float64; expected raw uint8 pixels"),
        ([some(4, 6), some(5, 6)], ValueError, r"image of shape \(5, 6\)"),
    ],
)
def test_refuses_what_it_was_not_trained_on(images, error, message):
    with pytest.raises(error, match=message):
        oblong().predict(images)


DIGITS = sorted(path for path in SAMPLES.iterdir() if path.stem != "cat")


@pytest.mark.parametrize("path", DIGITS, ids=lambda path: path.stem)
def test_reads_the_digit_in_a_picture_as_mnist_draws_it(path):
    classifier = untrained()
    pixels, warnings = classifier.read(path)
    expected, its_warnings = read_digit(path)
    np.testing.assert_array_equal(pixels, expected)
    assert warnings == its_warnings == []
    assert classifier.predict(pixels[None]).shape == (1, 10)


def picture(path):
    """80 x 200 pixels, red in the middle and blue at both sides."""
    pixels = np.full((80, 200, 3), (255, 0, 0), np.uint8)  # BGR
    pixels[:, 40:160] = (0, 0, 255)
    cv2.imwrite(str(path), pixels)
    return path


def test_reads_the_middle_of_a_picture_at_the_size_of_another_model(tmp_path):
    path, sizes = picture(tmp_path / "red.png"), dict(image_size=(8, 12), patch_size=4)
    for channels, red in [(3, (255, 0, 0)), (1, 76)]:
        classifier = untrained(["cat", "dog"], **sizes, channels=channels)
        pixels, warnings = classifier.read(path)
        assert (pixels.shape, pixels.dtype, warnings) == ((8, 12, channels), np.uint8, [])
        assert (pixels == red).all()
        assert classifier.predict(pixels[None]).shape == (1, 2)
    pixels, _ = framed(BICUBIC).read(path)
    np.testing.assert_array_equal(pixels, load_pixels(path, 8, 12, 3, BICUBIC))
    assert (pixels != load_pixels(path, 8, 12)).any()
    with pytest.raises(ValueError, match="with 1 channel or with 3, got 2"):
        untrained(["cat", "dog"], **sizes, channels=2).read(path)
    with pytest.raises((ValueError, OSError), match="nowhere.png"):
        classifier.read(Path("nowhere.png"))
