"""What learning without labels is worth: the same fine-tuning from it and from random weights."""

import argparse
import contextlib
import io
from pathlib import Path
from statistics import mean

from minivit.backend import usable_device
from minivit.data.augment import Augmentation
from minivit.files import write_json
from minivit.training import fit

from . import training

COLUMNS = {"pretrained": False, "from_scratch": True}  # whether its weights are random


def compare(options, load, start, draws, file=None):
    """Fine-tune from a checkpoint and from random weights, in several draws of a few labels.

    load and start are those of demos.finetune. Prints the test accuracies, and writes their means
    into a JSON file.
    """
    device = usable_device(options.device)
    print(f"{options.per_class} labels a class; test accuracy of each draw:")
    print("draw", *COLUMNS, sep="   ", flush=True)
    accuracies = {name: [] for name in COLUMNS}
    for seed in range(options.seed, options.seed + draws):
        for name, random in COLUMNS.items():
            this = argparse.Namespace(**vars(options) | dict(seed=seed, random=random))
            accuracies[name].append(accuracy(this, load, start, device))
        row = (f"{accuracies[name][-1]:{len(name)}.2%}" for name in COLUMNS)
        print(f"{seed:4}", *row, sep="   ", flush=True)
    means = {name: mean(each) for name, each in accuracies.items()}
    print("mean", *(f"{means[name]:{len(name)}.2%}" for name in COLUMNS), sep="   ")
    if file:
        result = {"data": options.data, "per_class": options.per_class} | means
        write_json(Path(file), result | {"draws": accuracies})


def accuracy(options, load, start, device):
    """The test accuracy of one fine-tuning."""
    data, progress, _ = training.set_up(options, load, device, start)
    shards = options.shards if device == "cpu" else 1
    with contextlib.redirect_stdout(io.StringIO()):  # a line an epoch
        fit(
            progress, data.train, data.validation, epochs=options.epochs, seed=options.seed,
            batch_size=options.batch_size, augment=Augmentation.of(options.augment),
            shards=shards, patience=options.patience,
        )  # fmt: skip
    with training.watched(shards, len(data.test.labels), "testing") as mapper:
        return progress.best_classifier().evaluate(data.test, mapper)[1]
