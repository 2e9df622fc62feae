"""Train a Vision Transformer, whose every gradient is written by hand, on MNIST or its kin."""

import contextlib
import shlex
import sys
import time
from pathlib import Path

import numpy as np

import minivit
from minivit.data.augment import Augmentation
from minivit.data.digits import hold_out
from minivit.data.preparation import Preparation
from minivit.files import write_file, write_json
from minivit.study import figures
from minivit.study.report import confusion_table, draw_test
from minivit.training import evaluate, fit, new_run, save_run
from minivit.training.step import cores, threads

from .options import parser_of

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
NEXT = "-m demos.train_mnist --pool cls --patch-size 4 --run patch4"


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
    add("--shards", type=int, default=cores(), help="threads over which a step is split")
    add("--seed", type=int, default=0, help="of all that is random")
    add("--run", help="name of the run's folder in runs/")
    parser.set_defaults(**RECIPES.get(data, RECIPES["mnist"]))
    options = parser.parse_args(argv)
    try:
        Augmentation.of(options.augment)
    except ValueError as error:
        parser.error(f"--augment: {error}")
    for name in ("epochs", "batch_size", "lr", "shards"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            parser.error(f"--{name.replace('_', '-')} must be greater than 0, got {value}")
    if options.seed < 0:
        parser.error(f"--seed must not be negative, got {options.seed}")
    return options


def main(argv=None):
    options = arguments(argv)
    try:
        train(options)
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"train_mnist: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "\ntrain_mnist: stopped; epochs that were finished are kept in runs/", file=sys.stderr
        )
        return 130
    return 0


def train(options):
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
    optimizer = OPTIMIZERS[options.optimizer](params, options.lr)
    folder = new_run(options.run)
    print(
        f"A ViT of {params.flat.size:,} parameters learns from {len(training.labels):,} images; "
        f"{len(validation.labels):,} are held out to watch it."
    )

    def save(rows):
        save_run(folder, model, params, preparation, data.classes, rows)
        write_file(folder / "curves.png", figures.png(figures.curves(rows)))

    start = time.perf_counter()
    try:
        fit(
            model,
            params,
            optimizer,
            training,
            validation,
            preparation,
            augment=Augmentation.of(options.augment),
            epochs=options.epochs,
            batch_size=options.batch_size,
            seed=options.seed,
            shards=options.shards,
            after_epoch=save,
        )
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()  # if nothing was saved in it
    seconds = time.perf_counter() - start

    with threads(options.shards) as mapper:
        loss, accuracy, logits = evaluate(model, params, data.test, preparation, mapper)
    result = dict(
        test_accuracy=accuracy,
        test_loss=loss,
        train_seconds=seconds,
        images_per_second=options.epochs * len(training.labels) / seconds,
        parameters=params.flat.size,
        seed=options.seed,
        options=vars(options),
    )
    write_json(folder / "result.json", result)
    draw_test(folder, model, params, preparation, data.test, data.classes, logits)
    report(folder, result, data, logits)


def report(folder, result, data, logits):
    """What a person wants to know at the end, printed."""
    print(f"\nTest accuracy {result['test_accuracy']:.2%}, loss {result['test_loss']:.4f}")
    print(f"Trained for {result['train_seconds']:.1f} s, ", end="")
    print(f"{result['images_per_second']:,.0f} images/s\n")
    print("Confusion matrix: a row for what it is, a column for what the model said")
    print(confusion_table(data.test.labels, logits, data.classes))
    print(f"\nSaved in {folder}/: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    python, here = Path(sys.executable), Path.cwd()
    python = python.relative_to(here) if python.is_relative_to(here) else python
    source = result["options"]["data"]
    data_option = "" if source == "mnist" else f" --data {shlex.quote(source)}"
    print(f"Next, smaller patches and a class token: {python} {NEXT}{data_option}")


if __name__ == "__main__":
    sys.exit(main())
