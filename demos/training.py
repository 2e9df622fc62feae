"""What the demos that train a model share: the run from start to end, and the report."""

import argparse
import contextlib
import dataclasses
import sys
from typing import NamedTuple

import minivit
from minivit.backend import usable_device
from minivit.data.augment import Augmentation
from minivit.data.digits import Split
from minivit.data.preparation import Preparation
from minivit.files import locked, write_file, write_json
from minivit.training import Progress, evaluate, fit_run, load_checkpoint, metrics, open_run
from minivit.training.run import resumable
from minivit.training.step import threads

from .options import command, status
from .training_options import OPTIMIZERS, model_of

MEASURED = 60_000  # training images, at most, of which mean and std are taken


class Data(NamedTuple):
    """What a model learns from, what it is watched on, and what it is tested on once."""

    train: Split
    validation: Split
    test: Split
    classes: list[str]


def run_demo(demo, work, arguments, argv):
    """Start a run or go on with one; return the exit status.

    work(options, checkpoint or None, device) does it. The device is no setting of a run, which may
    go on elsewhere.
    """

    def start():
        options = arguments(argv)
        device = usable_device(options.device)
        del options.device
        if not options.resume:
            return work(options, None, device)
        with locked(options.resume):
            checkpoint = load_checkpoint(options.resume)
            for reason in checkpoint.refused:
                print(f"{demo}: not used: {reason}", file=sys.stderr)
            return work(_options_of(checkpoint, options), checkpoint, device)

    return status(demo, start)


def _options_of(checkpoint, options):
    """The options with which a run was started; ValueError if they are not of this demo."""
    started = checkpoint.started.get("options")
    if not isinstance(started, dict) or started.keys() != vars(options).keys():
        raise ValueError(f"{checkpoint.folder} was started by another demo, or another version")
    return argparse.Namespace(**started)


def train(demo, options, checkpoint, device, data, rng, **started):
    """Train a model, test it once, and leave a run's folder, which is returned.

    device:  "cpu" or "cuda"
    data:    Data, or anything that has the same
    rng:     draws the model's first weights
    started: what else must be the same for the run to go on
    """
    preparation = Preparation.of(data.train.images, MEASURED)
    _, H, W, *channels = data.train.images.shape
    model = model_of(options, (H, W), *(channels or [1]), len(data.classes))
    params = minivit.Params(model.init(rng)).to(device)
    progress = Progress(params, OPTIMIZERS[options.optimizer](params, options.lr))
    started |= {"options": vars(options), "preparation": dataclasses.asdict(preparation)}
    folder = open_run(options.run, started, progress, checkpoint)
    shards = options.shards if device == "cpu" else 1
    where = [] if device == "cpu" else ["--device", device]
    go_on = command(demo, "--resume", folder, *where)
    print(
        f"A ViT of {params.flat.size:,} parameters learns from {len(data.train.labels):,} images; "
        f"{len(data.validation.labels):,} are held out to watch it."
    )
    place = "" if device == "cpu" else f", on {device}"
    print(f"It is kept in {folder}/ and begins at step {len(progress.rows)}{place}.", flush=True)

    with contextlib.nullcontext() if checkpoint else locked(folder):  # or `run_demo` has locked it
        fit_run(
            folder,
            model,
            progress,
            data.train,
            data.validation,
            preparation,
            classes=data.classes,
            checkpoint_every=options.checkpoint_every,
            go_on=go_on,
            augment=Augmentation.of(options.augment),
            epochs=options.epochs,
            batch_size=options.batch_size,
            seed=options.seed,
            shards=shards,
            patience=options.patience,
        )
        with resumable(folder, go_on):
            final_test(folder, model, progress, preparation, data, options, device, shards)
    return folder


def final_test(folder, model, progress, preparation, data, options, device, shards):
    """Look at the test images, once; write and print what a person wants to know at the end."""
    from minivit.study import figures  # here, as workers import this module, but never draw
    from minivit.study.report import confusion_table, draw_test

    with threads(shards) as mapper:
        _, _, logits = evaluate(model, progress.best, data.test, preparation, mapper)
    found = metrics(data.test.labels, logits, data.classes)
    speed = progress.rows[-1]["epoch"] * len(data.train.labels) / progress.seconds
    result = dict(
        test_accuracy=found["accuracy"],
        test_loss=found["loss"],
        train_seconds=progress.seconds,
        images_per_second=speed,
        parameters=progress.params.flat.size,
        seed=options.seed,
        device=device,
        options=vars(options),
        test=found,
    )
    write_json(folder / "result.json", result)
    write_file(folder / "curves.png", figures.png(figures.curves(progress.rows)))
    best = progress.best.to("cpu")
    draw_test(folder, model, best, preparation, data.test, data.classes, logits)
    print(f"\nTest accuracy {found['accuracy']:.2%}, loss {found['loss']:.4f}")
    print(f"Trained for {progress.seconds:.1f} s, {speed:,.0f} images/s\n")
    print("Confusion matrix: a row for what it is, a column for what the model said")
    print(confusion_table(data.test.labels, logits, data.classes))
    print(f"\nSaved in {folder}/: {', '.join(sorted(path.name for path in folder.iterdir()))}")
