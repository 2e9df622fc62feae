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
from minivit.data.digits import Split
from minivit.data.scans import read_digit
from minivit.threads import threads
from tests.saved_runs import oblong, untrained
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


def test_weights_are_found_by_their_names_whatever_their_order(tmp_path):
    """As in runs that were saved before the file recorded an order."""
    classifier = oblong(depth=12)
    classifier.save(tmp_path)
    weights = dict(reversed(classifier.params.named()))
    safetensors.numpy.save_file(weights, tmp_path / "weights.safetensors")
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


@pytest.mark.parametrize("path", sorted(SAMPLES.iterdir()), ids=lambda path: path.stem)
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
    with pytest.raises(ValueError, match="with 1 channel or with 3, got 2"):
        untrained(["cat", "dog"], **sizes, channels=2).read(path)
    with pytest.raises((ValueError, OSError), match="nowhere.png"):
        classifier.read(Path("nowhere.png"))
