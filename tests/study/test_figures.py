import cv2
import numpy as np
import pytest

import minivit
from minivit.checks.numeric import random_params
from minivit.data.normalize import Normalize
from minivit.study import figures
from minivit.study.rollout import attention_rollout, patches_read


def pixels(figure):
    image = cv2.imdecode(np.frombuffer(figures.png(figure), np.uint8), cv2.IMREAD_COLOR)
    assert image.std() > 5  # something is drawn
    return image


def test_curves_show_every_step_and_every_validation():
    rows = [
        dict(step=s, loss=2.0 / (s + 1), accuracy=s / 10, validation_loss=None,
             validation_accuracy=None)
        for s in range(10)
    ]  # fmt: skip
    rows[4] |= dict(validation_loss=0.5, validation_accuracy=0.3)
    rows[9] |= dict(validation_loss=0.3, validation_accuracy=0.8)
    figure = figures.curves(rows)
    loss, accuracy = figure.axes
    np.testing.assert_allclose(loss.lines[0].get_ydata(), [2.0 / (s + 1) for s in range(10)])
    np.testing.assert_array_equal(accuracy.lines[1].get_xdata(), [4, 9])
    np.testing.assert_array_equal(accuracy.lines[1].get_ydata(), [0.3, 0.8])
    pixels(figure)


def test_mistakes_come_worst_first():
    labels = np.array([0, 1, 1, 2])
    logits = np.array([[5, 0, 0], [9, 0, 0], [0, 9, 0], [3, 0, 0]], np.float32)
    np.testing.assert_array_equal(figures.mistakes_by_loss(labels, logits), [1, 3])
    surely_wrong = np.array([[150, 0], [200, 0]], np.float32)  # both have a probability of 0
    np.testing.assert_array_equal(figures.mistakes_by_loss(np.array([1, 1]), surely_wrong), [1, 0])
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 5)).astype(np.uint8)
    figure = figures.worst_mistakes(images, labels, logits, ["a", "b", "c"])
    assert "worst 2 of 2 mistakes" in figure.get_suptitle()
    assert [axes.get_title() for axes in figure.axes[:3]] == ["b → a  100%", "c → a  91%", ""]
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), images[1])
    pixels(figure)


def test_no_mistake_is_drawn_too():
    figure = figures.worst_mistakes(np.zeros((1, 5, 5)), np.array([0]), np.eye(1, 2), ["a", "b"])
    assert "worst 0 of 0" in figure.get_suptitle()
    figures.png(figure)


def test_images_in_colour_and_class_names_that_look_like_formulas():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (2, 4, 4, 3), np.uint8), np.array([1, 0])
    names = ["$a^$", r"$\b$"]
    mistakes = figures.worst_mistakes(images, labels, np.array([[0.0, -9], [-9, 0]]), names)
    model = classifier_of(rng, image_size=4, channels=3, classes=2)
    classifier = minivit.Classifier(
        model.model, model.params, Normalize([0.4, 0.5, 0.6], [0.3, 0.3, 0.2]), names
    )
    gradients = figures.attention_and_gradients(classifier, images, labels)
    for figure in (mistakes, gradients):
        np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), images[0])
        assert pixels(figure).std(axis=2).max() > 20  # in colour


def classifier_of(rng, **changes):
    config = dict(
        image_size=(4, 6), patch_size=2, channels=1, dim=6, depth=2, heads=2, mlp_dim=5, classes=3
    )
    model = minivit.ViT(**config | changes)
    params = random_params(model, rng).astype(np.float32)
    return minivit.Classifier(model, params, Normalize(0.4, 0.3), "abc")


@pytest.mark.parametrize("pool", ["mean", "cls"])
def test_attention_and_gradients_are_those_of_the_model(pool):
    rng = np.random.default_rng(0)
    classifier = classifier_of(rng, pool=pool)
    model, params = classifier.model, classifier.params
    images, labels = rng.integers(0, 256, (3, 4, 6)).astype(np.uint8), np.array([0, 1, 2])
    figure = figures.attention_and_gradients(classifier, images, labels)
    pixels(figure)

    logits, cache = model.forward(params, classifier.normalize(images))
    dlogits = minivit.cross_entropy(logits, labels)[1]
    dimages = model.backward(params, dlogits, cache, params.zeros_like())
    grid = np.reshape(figure.axes, (3, 4))
    att = cache["blocks"][1]["attn"]["att"][2]  # third image, second block: (h, T, T)
    received = att.sum(axis=(0, 1)) / (att.shape[0] * att.shape[1])
    shown = grid[2, 2].images[0].get_array()
    np.testing.assert_allclose(shown.reshape(-1), received[-6:], rtol=1e-5)
    np.testing.assert_allclose(grid[2, 3].images[0].get_array(), dimages[2, ..., 0], rtol=1e-5)
    assert grid[1, 0].get_ylabel() == f"b, read as {'abc'[logits[1].argmax()]}"


@pytest.mark.parametrize("pool", ["mean", "cls"])
def test_predictions_are_explained_by_the_gradient_of_the_winning_logit(pool):
    rng = np.random.default_rng(0)
    classifier = classifier_of(rng, image_size=(8, 12), patch_size=4, pool=pool)
    model, params = classifier.model, classifier.params
    images = rng.integers(0, 256, (2, 8, 12, 1), np.uint8)
    figure = figures.attention_of_predictions(classifier, images)
    pixels(figure)
    for image, row in zip(images, np.reshape(figure.axes, (2, 3)), strict=True):
        shown, read, gradient = (axes.images[0].get_array() for axes in row)
        np.testing.assert_array_equal(shown, image[..., 0])
        logits, cache = model.forward(params, classifier.normalize(image[None]))
        rollout = attention_rollout([block["attn"]["att"] for block in cache["blocks"]])
        np.testing.assert_allclose(read, patches_read(model, rollout)[0], rtol=1e-5)
        best = logits.argmax()
        dlogits = (np.arange(3) == best).astype(np.float32)[None]
        dimages = model.backward(params, dlogits, cache, params.zeros_like())
        np.testing.assert_allclose(gradient, dimages[0, ..., 0], rtol=1e-4, atol=1e-6)
        probability = classifier.predict(image[None]).max()
        assert row[0].get_ylabel() == f"{'abc'[best]}  {probability:.0%}"
