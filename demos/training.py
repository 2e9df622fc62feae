"""What the demos that train a model share: the options, the run from start to end, the report."""

import argparse
import contextlib
import dataclasses
import sys
from typing import NamedTuple

import minivit
from minivit.data.augment import Augmentation
from minivit.data.digits import Split
from minivit.data.preparation import Preparation
from minivit.files import locked, write_file, write_json
from minivit.training import Progress, evaluate, fit_run, load_checkpoint, metrics, open_run
from minivit.training.run import resumable
from minivit.training.step import cores, threads

from .options import command, seed, status

OPTIMIZERS = {
    "muon": lambda params, lr: minivit.Muon(params, lr or 0.02),
    "adamw": lambda params, lr: minivit.AdamW(params, lr or 6e-3, betas=(0.9, 0.98)),
    "adam": lambda params, lr: minivit.Adam(params, lr or 6e-3, betas=(0.9, 0.98)),
    "sgd": lambda params, lr: minivit.SGD(params, lr or 0.2, momentum=0.9),
}
MEASURED = 60_000  # training images, at most, of which mean and std are taken


class Data(NamedTuple):
    """What a model learns from, what it is watched on, and what it is tested on once."""

    train: Split
    validation: Split
    test: Split
    classes: list[str]


def add_options(parser, **defaults):
    """The options of a model and its training, with the defaults of a demo."""
    add = parser.add_argument
    add("--patch-size", type=int, default=7, help="side of a patch in pixels")
    add("--dim", type=int, default=64, help="width of the model")
    add("--depth", type=int, default=4, help="number of blocks")
    add("--heads", type=int, default=2, help="heads of the attention")
    add("--mlp-dim", type=int, default=128, help="width of the MLPs")
    add("--pool", choices=["mean", "cls"], default="mean", help="what the head reads")
    add("--dropout", type=float, default=0.0, help="share of numbers left out while training")
    add("--drop-path", type=float, default=0.0, help="share of branches left out, last block")
    add(
        "--augment",
        nargs="*",
        metavar="CHANGE",
        help=f"random changes of the training images: {Augmentation.CHANGES}; without any, none",
    )
    add("--epochs", type=int, help="times that every training image is seen")
    add("--batch-size", type=int, default=250, help="images in a step")
    add("--optimizer", choices=OPTIMIZERS, default="muon", help="how the weights move")
    add(
        "--lr",
        type=float,
        help="peak learning rate; None: 0.02 (of muon's AdamW 3e-3), for adamw and adam 6e-3, "
        "for sgd 0.2",
    )
    add("--shards", type=int, default=cores(), help="processes over which a step is split")
    add("--seed", type=seed, default=0, help="of all that is random")
    add("--run", help="name of the run's folder in runs/")
    add("--patience", type=int, help="stop after so many epochs without a lower validation loss")
    every_help = "steps between checkpoints; there is one after each epoch too"
    add("--checkpoint-every", type=int, default=100, metavar="STEPS", help=every_help)
    add("--resume", metavar="RUN", help="go on with a run that was stopped, such as runs/mnist")
    parser.set_defaults(**defaults)


def parsed(parser, argv):
    """The options, if they can be; else it ends as argparse does."""
    options = parser.parse_args(argv)
    if options.resume and options != parser.parse_args(["--resume", options.resume]):
        parser.error("--resume goes on with the settings of the run; give no others with it")
    try:
        Augmentation.of(options.augment)
    except ValueError as error:
        parser.error(f"--augment: {error}")
    for name in ("epochs", "batch_size", "lr", "shards", "patience", "checkpoint_every"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            parser.error(f"--{name.replace('_', '-')} must be greater than 0, got {value}")
    return options


def run_demo(demo, work, options):
    """Start a run or go on with one, work(options, checkpoint or None); return the exit status."""

    def start():
        if not options.resume:
            return work(options, None)
        with locked(options.resume):
            checkpoint = load_checkpoint(options.resume)
            for reason in checkpoint.refused:
                print(f"{demo}: not used: {reason}", file=sys.stderr)
            return work(_options_of(checkpoint, options), checkpoint)

    return status(demo, start)


def _options_of(checkpoint, options):
    """The options with which a run was started; ValueError if they are not of this demo."""
    started = checkpoint.started.get("options")
    if not isinstance(started, dict) or started.keys() != vars(options).keys():
        raise ValueError(f"{checkpoint.folder} was started by another demo, or another version")
    return argparse.Namespace(**started)


def model_of(options, image_size, channels, classes):
    """The model that was asked for. Errors: those of ViT."""
    return minivit.ViT(
        image_size=image_size,
        patch_size=options.patch_size,
        channels=channels,
        dim=options.dim,
        depth=options.depth,
        heads=options.heads,
        mlp_dim=options.mlp_dim,
        classes=classes,
        pool=options.pool,
        dropout=options.dropout,
        drop_path=options.drop_path,
    )


def train(demo, options, checkpoint, data, rng, **started):
    """Train a model, test it once, and leave a run's folder, which is returned.

    data:    Data, or anything that has the same
    rng:     draws the model's first weights
    started: what else must be the same for the run to go on
    """
    preparation = Preparation.of(data.train.images, MEASURED)
    _, H, W, *channels = data.train.images.shape
    model = model_of(options, (H, W), *(channels or [1]), len(data.classes))
    params = minivit.Params(model.init(rng))
    progress = Progress(params, OPTIMIZERS[options.optimizer](params, options.lr))
    started |= {"options": vars(options), "preparation": dataclasses.asdict(preparation)}
    folder = open_run(options.run, started, progress, checkpoint)
    go_on = command(demo, "--resume", folder)
    print(
        f"A ViT of {params.flat.size:,} parameters learns from {len(data.train.labels):,} images; "
        f"{len(data.validation.labels):,} are held out to watch it."
    )
    print(f"It is kept in {folder}/ and begins at step {len(progress.rows)}.", flush=True)

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
            shards=options.shards,
            patience=options.patience,
        )
        with resumable(folder, go_on):
            final_test(folder, model, progress, preparation, data, options)
    return folder


def final_test(folder, model, progress, preparation, data, options):
    """Look at the test images, once; write and print what a person wants to know at the end."""
    from minivit.study import figures  # here, as workers import this module, but never draw
    from minivit.study.report import confusion_table, draw_test

    with threads(options.shards) as mapper:
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
        options=vars(options),
        test=found,
    )
    write_json(folder / "result.json", result)
    write_file(folder / "curves.png", figures.png(figures.curves(progress.rows)))
    draw_test(folder, model, progress.best, preparation, data.test, data.classes, logits)
    print(f"\nTest accuracy {found['accuracy']:.2%}, loss {found['loss']:.4f}")
    print(f"Trained for {progress.seconds:.1f} s, {speed:,.0f} images/s\n")
    print("Confusion matrix: a row for what it is, a column for what the model said")
    print(confusion_table(data.test.labels, logits, data.classes))
    print(f"\nSaved in {folder}/: {', '.join(sorted(path.name for path in folder.iterdir()))}")
