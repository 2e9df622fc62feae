"""Train a Vision Transformer, whose every gradient is written by hand, on MNIST or its kin."""

import os
import sys

import numpy as np

import minivit
from minivit.data.digits import hold_out

from . import training, training_options
from .options import command, parser_of

RECIPES = {  # what is tuned to a data set, on its validation images alone
    "mnist": dict(
        run="mnist", epochs=12, augment=["shift=2", "rotation=10", "scale=0.1"], drop_path=0.0
    ),
    "fashion-mnist": dict(run="fashion", epochs=20, augment=["shift=1", "flip"], drop_path=0.1),
}
NEXT = ["--pool", "cls", "--patch-size", "4", "--run", "patch4"]


def arguments(argv=None):
    # The data decides on the other defaults.
    first = parser_of("train_mnist", None, add_help=False)
    data_help = '"mnist", "fashion-mnist" or a folder with four idx files'
    first.add_argument("--data", default="mnist", help=data_help)
    data = first.parse_known_args(argv)[0].data
    parser = parser_of("train_mnist", __doc__, parents=[first])
    training_options.add_options(parser, **RECIPES.get(data, RECIPES["mnist"]))
    return training_options.parsed(parser, argv)


def main(argv=None):
    return training.run_demo("train_mnist", train, arguments, argv)


def data_of(options):
    """The data that were asked for, a twelfth of it held out, and the generator that drew which."""
    digits = minivit.load_digits(options.data)
    rng = np.random.default_rng(options.seed)
    rest, validation = hold_out(digits.train, max(1, len(digits.train.labels) // 12), rng)
    return training.Data(rest, validation, digits.test, digits.classes), rng


def train(options, checkpoint, device):
    data, rng = data_of(options)
    if options.data not in RECIPES and not checkpoint:
        options.data = os.path.abspath(options.data)  # for whoever is elsewhere and goes on
    training.train("train_mnist", options, checkpoint, device, data, rng)
    data_options = [] if options.data == "mnist" else ["--data", options.data]
    proposed = command("train_mnist", *NEXT, *data_options)
    print(f"Next, smaller patches and a class token: {proposed}")


if __name__ == "__main__":
    sys.exit(main())
