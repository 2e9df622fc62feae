"""Ten labels a class of Fashion-MNIST, from a published network and from nothing.

    python -m tests.pretrained.few_labels CHECKPOINT [DRAWS]

prints, for each draw of 100 training images and 100 to validate, the accuracy on 1,000 test images
(100 a class, drawn too) of a head on the frozen CHECKPOINT, at 126 pixels; of a head on the same
network with random weights; and of the default recipe from scratch. That recipe's 20 epochs would
be 20 steps on 100 images, so here it takes 2,000, and the best on the validation images counts.
"""

import json
import os
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from statistics import mean, stdev

import numpy as np

from demos import finetune, train_mnist, training
from minivit.data.augment import Augmentation
from minivit.data.digits import Split
from minivit.data.framing import MIDDLE
from minivit.training import fit

FEW = ["fashion-mnist", "--per-class", "10", "--test-per-class", "100", "--image-size", "126"]


def with_head(checkpoint, seed, *more):
    """The test accuracy of a new head on a body that stays as it is."""
    options = finetune.arguments([checkpoint, *FEW, "--seed", str(seed), *more])
    return json.loads(Path(finetune.train_head(options), "result.json").read_text())[
        "test_accuracy"
    ]


def from_scratch(checkpoint, seed):
    """The test accuracy of the default recipe, on the same images."""
    few = finetune.arguments([checkpoint, *FEW, "--seed", str(seed)])
    scratch = ["--data", "fashion-mnist", "--epochs", "2000", "--seed", str(seed)]
    options = train_mnist.arguments(scratch)

    def load(_):
        rng = np.random.default_rng(seed)
        data = finetune.data_of(few, (28, 28, 1), MIDDLE, rng)
        splits = [Split(split.images[:][..., 0], split.labels) for split in data[:3]]
        return training.Data(*splits, *data[3:]), rng

    data, progress, _ = training.set_up(options, load, "cpu")
    fit(
        progress, data.train, data.validation, epochs=options.epochs, seed=seed,
        batch_size=options.batch_size, augment=Augmentation.of(options.augment),
    )  # fmt: skip
    return progress.best_classifier().evaluate(data.test)[1]


def main(checkpoint, draws=5):
    checkpoint = os.path.abspath(checkpoint)
    rows = []
    for seed in range(int(draws)):
        with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
            os.chdir(folder)
            with redirect_stdout(nowhere):
                rows.append(
                    [
                        with_head(checkpoint, seed),
                        with_head(checkpoint, seed, "--random"),
                        from_scratch(checkpoint, seed),
                    ]
                )
            os.chdir("/")
        print(f"draw {seed}: " + "   ".join(f"{accuracy:.1%}" for accuracy in rows[-1]), flush=True)
    for name, column in zip(("frozen", "random", "scratch"), zip(*rows, strict=True), strict=True):
        spread = stdev(column) if len(column) > 1 else 0
        print(f"{name:8} mean {mean(column):.1%}, standard deviation {spread:.1%}")


if __name__ == "__main__":
    main(*sys.argv[1:])
