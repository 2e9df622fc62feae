"""Train a Vision Transformer, whose every gradient is written by hand, on MNIST or its kin."""

import os
import sys

import numpy as np

from . import training, training_options
from .options import parser_of, propose, status

BOTH = dict(heads=4, muon=dict(lr=0.04, momentum=0.85, rest_lr=0.005))
MNIST = BOTH | dict(
    run="mnist", epochs=10, plain_epochs=1, augment=["shift=2", "rotation=10", "scale=0.1"]
)
FASHION = BOTH | dict(
    run="fashion", epochs=20, plain_epochs=2, augment=["shift=1", "flip"], drop_path=0.1
)
COARSE = dict(  # four tokens: a quarter of the work
    patch_size=14, depth=3, batch_size=500, epochs=9, plain_epochs=0,
    muon=dict(lr=0.03, momentum=0.8),
)  # fmt: skip
STEMMED = dict(  # four tokens that met before
    patch_size=3, depth=3, batch_size=500, plain_epochs=0
)
DIGITS = dict(  # warped
    stem=[[4, 2, 16], [3, 2, 32]], epochs=90, augment=[*MNIST["augment"], "elastic=1.5"],
    muon=dict(lr=0.03, momentum=0.85),
)  # fmt: skip
CLOTHES = dict(  # partly hidden
    stem=[[4, 2, 32], [2, 1, 64], [2, 2, 96]], dim=128, mlp_dim=256, drop_path=0.25, epochs=80,
    augment=[*FASHION["augment"], "erase=0.5"], muon=dict(lr=0.025, momentum=0.85),
)  # fmt: skip
RECIPES = {  # tuned to each data set, on its validation images alone
    "mnist": {"default": MNIST, "quick": MNIST | COARSE, "record": MNIST | STEMMED | DIGITS},
    "fashion-mnist": {
        "default": FASHION,
        "quick": FASHION | dict(epochs=5, plain_epochs=0),
        "record": FASHION | STEMMED | CLOTHES,
    },
}


def arguments(argv=None):
    # The data decides on the recipes, and a recipe on the other defaults.
    first = parser_of("train_mnist", None, add_help=False)
    data_help = '"mnist", "fashion-mnist" or a folder with four idx files'
    first.add_argument("--data", default="mnist", help=data_help)
    data = first.parse_known_args(argv)[0].data
    recipe = training_options.chosen(first, RECIPES.get(data, RECIPES["mnist"]), argv)
    parser = parser_of("train_mnist", __doc__, parents=[first])
    training_options.add_options(parser, **recipe)
    return training_options.parsed(parser, argv)


def main(argv=None):
    return status("train_mnist", lambda: train(arguments(argv)))


def train(options):
    training.train("train_mnist", options, load, finish=finish)


def finish(folder, options, classifier, *rest):
    """Test, and propose what to do next."""
    training.test(folder, options, classifier, *rest)
    if classifier.model.config["stem"]:  # which the explorer does not compute
        propose("see what it reads in a photo", "predict", folder, "demos/samples/five-photo.jpg")
    else:
        propose("see backprop through it, number by number", "explore", folder)


def load(options):
    """The data, a twelfth of the training images held out, and the generator that drew which."""
    rng = np.random.default_rng(options.seed)
    data = training.of_digits(options.data, rng)
    if options.data not in RECIPES:
        options.data = os.path.abspath(options.data)  # a run may be resumed from another folder
    return data, rng


if __name__ == "__main__":
    sys.exit(main())
