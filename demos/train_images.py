"""Train a Vision Transformer on a folder of class folders, FOLDER/cat/1.jpg, of colour images."""

import os
import sys

import numpy as np

from minivit.data.folders import image_folder

from . import training, training_options
from .options import parser_of, propose, sides, status

AUGMENT = ["shift=4", "scale=0.1", "flip"]
DEFAULT = dict(run="images", patch_size=8, epochs=30, batch_size=50, augment=AUGMENT)
RECIPES = {"default": DEFAULT, "quick": DEFAULT | dict(epochs=8)}


def arguments(argv=None):
    first = parser_of("train_images", None, add_help=False)
    recipe = training_options.chosen(first, RECIPES, argv)
    parser = parser_of("train_images", __doc__, parents=[first])
    data_help = (
        "a folder for each class, or train/, val/ and test/ with such folders; what is missing of "
        "val and test is held out, a tenth of each class"
    )
    parser.add_argument("data", metavar="FOLDER", nargs="?", help=data_help)
    size_help = "to which the middle of each image is resized: side, or height and width"
    size = dict(type=int, nargs="+", metavar="PIXELS", default=[64])
    parser.add_argument("--image-size", **size, help=size_help)
    training_options.add_options(parser, **recipe)
    options = training_options.parsed(parser, argv)
    if not (options.data or options.resume):
        parser.error("give the FOLDER, or --resume RUN to resume a run")
    sides(parser, options, "image_size")
    return options


def main(argv=None):
    return status("train_images", lambda: train(arguments(argv)))


def train(options):
    folder = training.train("train_images", options, load)
    propose("ask it about a picture of your own", "predict", folder, "PICTURE")


def load(options):
    """The data, and the generator that drew which images are held out."""
    # Refuses a size that does not fit, before all files are read.
    training_options.model_of(options, options.image_size, 3, 2)
    options.data = os.path.abspath(options.data)  # a run may be resumed from another folder
    rng = np.random.default_rng(options.seed)
    images = image_folder(options.data, *options.image_size, rng)
    return training.of_folder("train_images", options.data, images), rng


if __name__ == "__main__":
    sys.exit(main())
