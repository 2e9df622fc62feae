"""The digit and the model that a demo looks at: those of a run, or of a model that learns now."""

from pathlib import Path

import numpy as np

import minivit
from minivit.data.digits import Split
from minivit.data.normalize import Normalize
from minivit.study.figures import mistakes_by_loss
from minivit.training import Progress, fit

from .options import command

DEFAULT = Path("runs", "mnist")
PATCH = 7  # side of a patch of the model that learns where there is no run
CANDIDATES = 1000  # test digits among which the most wrong one is looked for


def add_options(parser):
    """The options by which a demo's model and digit are chosen; return the group of the digit."""
    run_help = f"a run's folder; without one {DEFAULT}, and else a model learns for some seconds"
    parser.add_argument("run", nargs="?", metavar="RUN", help=run_help)
    data_help = 'data set of the run: "mnist", "fashion-mnist", a folder'
    parser.add_argument("--data", default="mnist", help=data_help)
    digit_help = f"number of a test digit; without one the most wrong of the first {CANDIDATES}"
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--digit", type=int, metavar="N", help=digit_help)
    return group


def classifier_of(run, digits):
    """The Classifier of a run; else of runs/mnist; else one that learns now, for a few seconds.

    Errors: those of `Classifier.load`; ValueError if the run knows other classes than the data.
    """
    if run or DEFAULT.is_dir():
        classifier = minivit.Classifier.load(run or DEFAULT)
        if classifier.classes != list(digits.classes):
            raise ValueError(
                f"the run knows {', '.join(classifier.classes)}, the data "
                f"{', '.join(digits.classes)}; give the data set of the run, such as --data "
                "fashion-mnist"
            )
        return classifier
    better = command("train_mnist")
    print(
        f"There is no {DEFAULT} yet, so a model learns for some seconds. For a good one: {better}"
    )
    model = minivit.ViT(
        image_size=digits.train.images.shape[1:], patch_size=PATCH, channels=1, dim=64, depth=4,
        heads=2, mlp_dim=128, classes=len(digits.classes),
    )  # fmt: skip
    params = minivit.Params(model.init(np.random.default_rng(0)))
    images, labels = digits.train
    few, rest = Split(images[:20_000], labels[:20_000]), Split(images[-1000:], labels[-1000:])
    classifier = minivit.Classifier(model, params, Normalize.of(few.images), digits.classes)
    fit(Progress(classifier, minivit.Muon(params, 0.02)), few, rest, epochs=2, batch_size=250)
    return classifier


def choose_digit(number, test, classifier):
    """Return the number, the image (H, W) uint8 and the label of a test digit.

    Without a number it is the most wrong one of the first `CANDIDATES`. Errors: ValueError.
    """
    images, labels = test
    if number is None:
        logits = classifier.logits(images[:CANDIDATES])
        worst = mistakes_by_loss(labels[:CANDIDATES], logits)
        number = int(worst[0]) if len(worst) else 0
    if not 0 <= number < len(labels):
        raise ValueError(f"--digit: there are test digits 0 to {len(labels) - 1}, got {number}")
    return number, images[number], int(labels[number])
