"""Train a Vision Transformer, whose every gradient is written by hand, on MNIST or its kin."""

import argparse
import contextlib
import dataclasses
import sys

import numpy as np

import minivit
from minivit.data.augment import Augmentation
from minivit.data.digits import hold_out
from minivit.data.preparation import Preparation
from minivit.files import locked, write_file, write_json
from minivit.study import figures
from minivit.study.report import confusion_table, draw_test
from minivit.training import Progress, evaluate, fit_run, load_checkpoint, metrics, open_run
from minivit.training.run import resumable
from minivit.training.step import cores, threads

from .options import command, parser_of

OPTIMIZERS = {
    "muon": lambda params, lr: minivit.Muon(params, lr or 0.02),
    "adamw": lambda params, lr: minivit.AdamW(params, lr or 6e-3, betas=(0.9, 0.98)),
    "adam": lambda params, lr: minivit.Adam(params, lr or 6e-3, betas=(0.9, 0.98)),
    "sgd": lambda params, lr: minivit.SGD(params, lr or 0.2, momentum=0.9),
}
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
    add = parser.add_argument
    add("--patch-size", type=int, default=7, help="side of a patch in pixels")
    add("--dim", type=int, default=64, help="width of the model")
    add("--depth", type=int, default=4, help="number of blocks")
    add("--heads", type=int, default=2, help="heads of the attention")
    add("--mlp-dim", type=int, default=128, help="width of the MLPs")
    add("--pool", choices=["mean", "cls"], default="mean", help="what the head reads")
    add("--dropout", type=float, default=0.0, help="share of numbers left out while training")
    add("--drop-path", type=float, help="share of branches left out, last block")
    change_help = f"random changes of training images: {Augmentation.CHANGES}; without any, none"
    add("--augment", nargs="*", metavar="CHANGE", help=change_help)
    add("--epochs", type=int, help="times that every training image is seen")
    add("--batch-size", type=int, default=250, help="images in a step")
    add("--optimizer", choices=OPTIMIZERS, default="muon", help="how the weights move")
    lr_help = "peak learning rate; None: 0.02 (of muon's AdamW 3e-3), adamw and adam 6e-3, sgd 0.2"
    add("--lr", type=float, help=lr_help)
    add("--shards", type=int, default=cores(), help="threads over which a step is split")
    add("--seed", type=int, default=0, help="of all that is random")
    add("--run", help="name of the run's folder in runs/")
    add("--patience", type=int, help="stop after so many epochs without a lower validation loss")
    every_help = "steps between checkpoints; there is one after each epoch too"
    add("--checkpoint-every", type=int, default=100, metavar="STEPS", help=every_help)
    add("--resume", metavar="RUN", help="go on with a run that was stopped, such as runs/mnist")
    parser.set_defaults(**RECIPES.get(data, RECIPES["mnist"]))
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
    if options.seed < 0:
        parser.error(f"--seed must not be negative, got {options.seed}")
    return options


def main(argv=None):
    options, checkpoint = arguments(argv), None
    try:
        with contextlib.ExitStack() as locks:  # no other process trains the same run
            if options.resume:
                locks.enter_context(locked(options.resume))
                checkpoint = load_checkpoint(options.resume)
                for reason in checkpoint.refused:
                    print(f"train_mnist: not used: {reason}", file=sys.stderr)
                options = options_of(checkpoint, options)
            train(options, checkpoint, locks)
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"train_mnist: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"\ntrain_mnist: {str(stop) or 'stopped'}", file=sys.stderr)
        return 130
    return 0


def options_of(checkpoint, options):
    """The options with which a run was started; ValueError if they are not of this demo."""
    started = checkpoint.started.get("options")
    if not isinstance(started, dict) or started.keys() != vars(options).keys():
        raise ValueError(f"{checkpoint.folder} was started by another demo, or another version")
    return argparse.Namespace(**started)


def train(options, checkpoint, locks):
    data = minivit.load_digits(options.data)
    rng = np.random.default_rng(options.seed)
    training, validation = hold_out(data.train, max(1, len(data.train.labels) // 12), rng)
    preparation = Preparation.of(training.images)
    model = minivit.ViT(
        image_size=data.train.images.shape[1:],
        patch_size=options.patch_size,
        channels=1,
        dim=options.dim,
        depth=options.depth,
        heads=options.heads,
        mlp_dim=options.mlp_dim,
        classes=len(data.classes),
        pool=options.pool,
        dropout=options.dropout,
        drop_path=options.drop_path,
    )
    params = minivit.Params(model.init(rng))
    progress = Progress(params, OPTIMIZERS[options.optimizer](params, options.lr))
    started = {"options": vars(options), "preparation": dataclasses.asdict(preparation)}
    folder = open_run(options.run, started, progress, checkpoint)
    if checkpoint is None:
        locks.enter_context(locked(folder))
    go_on = command("train_mnist", "--resume", folder)
    print(
        f"A ViT of {params.flat.size:,} parameters learns from {len(training.labels):,} images; "
        f"{len(validation.labels):,} are held out to watch it."
    )
    print(f"It is kept in {folder}/ and begins at step {len(progress.rows)}.", flush=True)

    def draw(progress):
        write_file(folder / "curves.png", figures.png(figures.curves(progress.rows)))

    fit_run(
        folder,
        model,
        progress,
        training,
        validation,
        preparation,
        classes=data.classes,
        checkpoint_every=options.checkpoint_every,
        go_on=go_on,
        after_epoch=draw,
        augment=Augmentation.of(options.augment),
        epochs=options.epochs,
        batch_size=options.batch_size,
        seed=options.seed,
        shards=options.shards,
        patience=options.patience,
    )

    with resumable(folder, go_on):
        with threads(options.shards) as mapper:
            _, _, logits = evaluate(model, progress.best, data.test, preparation, mapper)
        test = metrics(data.test.labels, logits, data.classes)
        result = dict(
            test_accuracy=test["accuracy"],
            test_loss=test["loss"],
            train_seconds=progress.seconds,
            images_per_second=progress.rows[-1]["epoch"] * len(training.labels) / progress.seconds,
            parameters=params.flat.size,
            seed=options.seed,
            options=vars(options),
            test=test,
        )
        write_json(folder / "result.json", result)
        draw_test(folder, model, progress.best, preparation, data.test, data.classes, logits)
    report(folder, result, data, logits)


def report(folder, result, data, logits):
    """What a person wants to know at the end, printed."""
    print(f"\nTest accuracy {result['test_accuracy']:.2%}, loss {result['test_loss']:.4f}")
    print(f"Trained for {result['train_seconds']:.1f} s, ", end="")
    print(f"{result['images_per_second']:,.0f} images/s\n")
    print("Confusion matrix: a row for what it is, a column for what the model said")
    print(confusion_table(data.test.labels, logits, data.classes))
    print(f"\nSaved in {folder}/: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    source = result["options"]["data"]
    data_options = [] if source == "mnist" else ["--data", source]
    proposed = command("train_mnist", *NEXT, *data_options)
    print(f"Next, smaller patches and a class token: {proposed}")


if __name__ == "__main__":
    sys.exit(main())
