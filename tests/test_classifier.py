import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import minivit
from minivit.checks.numeric import random_params
from minivit.data.normalize import Normalize
from minivit.training import predict, save_run
from tests.saved_runs import saved
from tests.test_house import ROOT


@pytest.fixture
def run(tmp_path):
    model = minivit.ViT(
        image_size=(4, 6), patch_size=2, channels=1, dim=6, depth=2, heads=2, mlp_dim=5, classes=3
    )
    params = random_params(model, np.random.default_rng(0)).astype(np.float32)
    save_run(tmp_path, model, params, Normalize(0.4, 0.3), ["a", "b", "c"], [dict(step=0)])
    return tmp_path


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch):
    monkeypatch.setattr("minivit.classifier.images_at_once", lambda *_: 125)


def some(count, *shape):
    return np.random.default_rng(1).integers(0, 256, (count, *shape), np.uint8)


@pytest.mark.parametrize("count", [0, 1, 125, 126, 300])
def test_probabilities_are_those_of_the_model(run, count):
    classifier = minivit.Classifier.load(run)
    images = some(count, 4, 6)
    probabilities = classifier.predict(images)
    assert (probabilities.shape, probabilities.dtype) == ((count, 3), np.float32)
    assert classifier.classes == ["a", "b", "c"]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    if count:
        logits = predict(classifier.model, classifier.params, images, classifier.preparation)
        powers = np.exp(logits)
        expected = powers / powers.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
        assert probabilities.std(axis=0).min() > 0.01 or count == 1


def test_images_may_come_one_after_another(run):
    classifier, images = minivit.Classifier.load(run), some(300, 4, 6)
    expected = classifier.predict(images)
    np.testing.assert_array_equal(classifier.predict(image for image in images), expected)
    np.testing.assert_array_equal(classifier.predict(list(images)), expected)
    np.testing.assert_array_equal(classifier.predict(images[..., None]), expected)


def test_memory_does_not_grow_with_the_number_of_images(run):
    classifier = minivit.Classifier.load(run)

    def peak(count):
        tracemalloc.start()
        classifier.predict(np.full((4, 6), i % 256, np.uint8) for i in range(count))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(125)
    few, many = peak(500), peak(8000)
    assert many - few < 7500 * 3 * 4 * 3  # the answers themselves, and a copy of them


def test_threads_share_one(run):
    classifier = minivit.Classifier.load(run)
    parts = [some(200, 4, 6) ^ np.uint8(number) for number in range(8)]
    expected = [classifier.predict(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(
            pool.map(classifier.predict, parts * 4), expected * 4, strict=True
        ):
            np.testing.assert_array_equal(found, wanted)


def test_no_training_code_is_imported(run):
    code = (
        "import sys, numpy, minivit; c = minivit.Classifier.load(sys.argv[1]); "
        "c.predict(numpy.zeros((2, 4, 6), numpy.uint8)); "
        "print([m for m in sys.modules if m.startswith(('minivit.training', 'tqdm', 'cv2', "
        "'matplotlib', 'threadpoolctl'))])"
    )
    command = [sys.executable, "-c", code, str(run)]
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
def test_refuses_what_it_was_not_trained_on(run, images, error, message):
    with pytest.raises(error, match=message):
        minivit.Classifier.load(run).predict(images)


def test_a_run_of_other_floats(tmp_path):
    saved(tmp_path, [dict(step=0)], dtype=np.float64)
    assert minivit.Classifier.load(tmp_path).predict(some(3, 4, 6)).shape == (3, 3)
