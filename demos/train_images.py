"""Train a Vision Transformer on a folder of class folders, FOLDER/cat/1.jpg, of colour images."""

import os
import sys

import numpy as np

from minivit.data.folder import image_folder

from . import training, training_options
from .options import command, parser_of, sides

RECIPE = dict(
    patch_size=8, run="images", epochs=30, batch_size=50, augment=["shift=4", "scale=0.1", "flip"]
)


def arguments(argv=None):
    parser = parser_of("train_images", __doc__)
    data_help = (
        "a folder for each class, or train/, val/ and test/ with such folders; what is missing of "
        "val and test is held out, a tenth of each class"
    )
    parser.add_argument("data", metavar="FOLDER", nargs="?", help=data_help)
    size_help = "what the middle of each image is brought to: side, or height and width"
    size = dict(type=int, nargs="+", metavar="PIXELS", default=[64])
    parser.add_argument("--image-size", **size, help=size_help)
    training_options.add_options(parser, **RECIPE)
    options = training_options.parsed(parser, argv)
    if not (options.data or options.resume):
        parser.error("give the FOLDER, or --resume RUN to go on with a run")
    sides(parser, options, "image_size")
    return options


def main(argv=None):
    return training.run_demo("train_images", train, arguments, argv)


def train(options, checkpoint, device):
    # Refused now, before all files are read.
    training_options.model_of(options, options.image_size, 3, 2)
    rng = np.random.default_rng(options.seed)
    data = image_folder(options.data, *options.image_size, rng)
    for reason in data.skipped:
        print(f"train_images: left out: {reason}", file=sys.stderr)
    splits = dict(train=data.train, validation=data.validation, test=data.test)
    counts = {part: len(split.labels) for part, split in splits.items()}
    total, bad = sum(counts.values()), len(data.skipped)
    print(f"{options.data}: {total:,} images, {bad:,} files left out that are none.")
    print(f"{len(data.classes)} classes: {', '.join(data.classes)}")
    images = counts | {"sum": data.sum}
    if not checkpoint:
        options.data = os.path.abspath(options.data)  # for whoever is elsewhere and goes on
    elif images != checkpoint.started.get("images"):
        raise ValueError(
            f"the images in {options.data} have changed since {checkpoint.folder} was started with "
            "them; it can go on only with the same, so put them back, or start a new run"
        )
    folder = training.train("train_images", options, checkpoint, device, data, rng, images=images)
    print(f"Next, a picture of your own: {command('predict', folder, 'PICTURE')}")


if __name__ == "__main__":
    sys.exit(main())
