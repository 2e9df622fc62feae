"""The model and the image that a demo looks at: a run's, or those of a model that trains now."""

from pathlib import Path

import numpy as np

import minivit
from minivit.data.digits import Split
from minivit.study import trace
from minivit.training import fit

from . import train_mnist
from .evaluate import source_of, started_with, test_images
from .options import command, run_folder
from .training import set_up

DEFAULT = Path("runs", "mnist")
TRAINING = ["--epochs", "2"]  # options of train_mnist for the model that trains if there is no run
CANDIDATES = 1000  # test images among which the worst one is chosen
LOWEST = f"the one of the first {CANDIDATES} whose label gets the lowest probability"


def add_options(parser, otherwise=LOWEST):
    """Add the options that choose a demo's model and image; return the group of the image.

    otherwise: the test image that it is without --digit
    """
    run_help = f"a run's folder; without one {DEFAULT}, or else a model that trains for a moment"
    parser.add_argument("run", type=run_folder, nargs="?", metavar="RUN", help=run_help)
    data_help = 'where test images come from: "mnist", "fashion-mnist" or a folder; without it, '
    parser.add_argument("--data", help=data_help + "the data that the run was trained on")
    digit_help = f"number of a test image, from 0; without it, {otherwise}"
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--digit", type=int, metavar="N", help=digit_help)
    return group


def run_of(options):
    """The folder of the run, or None if a model has to train first."""
    return options.run or (DEFAULT if DEFAULT.is_dir() else None)


def classifier_of(options):
    """The Classifier of the run; without a run, one that trains now, for a few seconds.

    Errors: those of `Classifier.load` and `load_digits`.
    """
    if run_of(options):
        return minivit.Classifier.load(run_of(options))
    better = command("train_mnist")
    print(f"There is no {DEFAULT} yet, so a model trains for some seconds. Better: {better}")
    recipe = train_mnist.arguments(["--data", options.data or "mnist", *TRAINING])
    data, progress, _ = set_up(recipe, train_mnist.load, "cpu")
    few = Split(data.train.images[:20_000], data.train.labels[:20_000])
    fit(progress, few, data.validation, epochs=recipe.epochs, batch_size=recipe.batch_size)
    return progress.classifier


def traced(classifier, pixels, label):
    """The trace, in float64, of a training step on one image, uint8.

    Errors: those of `Classifier.logits`.
    """
    classifier.logits(pixels[None])  # in float32: it refuses what is not finite
    images = classifier.normalize(pixels[None]).astype(np.float64)
    params = classifier.params.astype(np.float64)
    return trace(classifier.model, params, images, np.array([label]))


def images_of(options, classifier):
    """Return the test images, a Split.

    Errors: ValueError for a --digit out of range; those of `source_of` and `test_images`.
    """
    run, number = run_of(options), options.digit
    started = started_with(run) if run else {"options": {"data": "mnist"}}
    split = test_images(source_of(options, started, run, "--data"), started, classifier)
    if number is not None and not 0 <= number < len(split.labels):
        raise ValueError(
            f"--digit: test images are numbered 0 to {len(split.labels) - 1}, got {number}"
        )
    return split


def choose_image(options, classifier):
    """Return the number, the image (H, W) or (H, W, C), uint8, and the label of a test image.

    Errors: those of `images_of`.
    """
    images, labels = images_of(options, classifier)
    number = options.digit
    if number is None:
        few = labels[:CANDIDATES]
        probabilities = classifier.predict(images[:CANDIDATES])
        number = int(probabilities[np.arange(len(few)), few].argmin())
    return number, images[number], int(labels[number])
