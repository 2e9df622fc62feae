"""How good a trained run is on test images: metrics, confusion matrix, the worst mistakes."""

import json
import sys
from pathlib import Path

import numpy as np

import minivit
from minivit.backend import usable_device
from minivit.data.digits import Split
from minivit.data.folder import class_files, files_sum, has_parts, split_files
from minivit.data.image_files import open_files
from minivit.files import write_file
from minivit.runs import load_run
from minivit.study import figures
from minivit.study.report import confusion_table
from minivit.training import metrics, predict
from minivit.training.step import cores, threads

from .options import add_device, new_file, parser_of, status
from .pictures import as_trained_on


def arguments(argv=None):
    parser = parser_of("evaluate", __doc__)
    add = parser.add_argument
    add("run", metavar="RUN", help="a run's folder, such as runs/mnist")
    data_help = (
        '"mnist", "fashion-mnist", a folder with four idx files or one of class folders with '
        "images; without one, the run's own"
    )
    add("data", metavar="DATA", nargs="?", help=data_help)
    out_help = "the worst mistakes, drawn"
    add("--out", type=new_file, default="mistakes.png", metavar="FILE.png", help=out_help)
    add("--json", action="store_true", help="print the metrics as JSON")
    add_device(parser)
    return parser.parse_args(argv)


def main(argv=None):
    return status("evaluate", lambda: evaluate(arguments(argv)))


def evaluate(options):
    device = usable_device(options.device)
    model, params, preparation, classes = load_run(options.run)
    started = started_with(options.run)
    source = options.data or started["data"]
    images, labels = test_images(source, started, model, classes)
    with threads(cores() if device == "cpu" else 1) as mapper:
        logits = predict(model, params.to(device), images, preparation, mapper=mapper)
    found = metrics(labels, logits, classes)
    if options.json:
        print(json.dumps({"run": options.run, "data": source, **found}, indent=2))
    else:
        print(f"{options.run} on {len(labels):,} test images of {source}:")
        print(as_text(found, labels, logits, classes))
    sheet = figures.worst_mistakes(images, labels, logits, classes)
    write_file(options.out, figures.png(sheet))
    print(f"Written: {options.out}", file=sys.stderr)


def started_with(run):
    """What a run was started with: data, seed and, of a folder of images, its `files_sum`.

    It is MNIST where nothing tells.
    """
    for name in ("training.json", "result.json"):
        try:
            started = json.loads(Path(run, name).read_text(encoding="utf-8"))
            data, seed = str(started["options"]["data"]), int(started["options"].get("seed", 0))
            return {"data": data, "seed": seed, "sum": started.get("images", {}).get("sum")}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue
    return {"data": "mnist", "seed": 0, "sum": None}


def test_images(source, started, model, classes):
    """The test images of a data set, and their labels as the run counts its classes: a Split.

    Errors: ValueError if the images are of another size, or of a class that the run does not know.
    """
    if Path(source).is_dir() and not list(Path(source).glob("*-ubyte*")):
        return images_in(source, started, model, classes)
    data = minivit.load_digits(source)
    found, expected = [*data.test.images.shape[1:], 1], model.config["image_size"]
    if found != [*expected, model.config["channels"]]:
        raise ValueError(
            f"the images of {source} are {found}; the run was trained on "
            f"{[*expected, model.config['channels']]}, height, width, channels"
        )
    unknown = [name for name in data.classes if name not in classes]
    if unknown:
        raise ValueError(
            f"{source} has {', '.join(unknown)}; the run knows {', '.join(classes)} alone"
        )
    numbers = np.array([classes.index(name) for name in data.classes])
    return Split(data.test.images, numbers[data.test.labels])


def images_in(folder, started, model, classes):
    """The test images of a folder of class folders; all images, if there is no part for tests.

    But of the folder that the run was trained on, wherever it lies now, the test images are those
    that were held out.
    """
    at_home = Path(folder).resolve() == Path(started["data"]).resolve()
    files = class_files(folder)
    same = _files_sum(folder, started["seed"]) == started["sum"] is not None
    if at_home or same or has_parts(folder):
        files = split_files(folder, np.random.default_rng(started["seed"]))["test"]
        if at_home and not same:
            print(
                f"evaluate: {folder} has changed since the run was started: some of the images "
                "that are held out now may be among those that it was trained on",
                file=sys.stderr,
            )
    if not files:
        raise ValueError(f"{folder} has neither four idx files nor class folders with images")
    test, skipped = open_files(
        files, classes, lambda path: as_trained_on(model, classes, path)[0], {}
    )
    for reason in skipped:
        print(f"evaluate: left out: {reason}", file=sys.stderr)
    return test


def _files_sum(folder, seed):
    """`files_sum` of a folder as a run with that seed splits it; None if none can train on it."""
    try:
        return files_sum(split_files(folder, np.random.default_rng(seed)), folder)
    except ValueError:
        return None


def as_text(found, labels, logits, classes):
    """The metrics as a person reads them."""
    width = max(12, *map(len, classes))
    lines = [
        f"accuracy {found['accuracy']:.2%}   one of the first {found['k']} "
        f"{found['top_k_accuracy']:.2%}   loss {found['loss']:.4f}\n",
        f"{'':>{width}}{'images':>10}{'precision':>12}{'recall':>10}",
    ]
    for name, of_class in found["classes"].items():
        shares = [of_class["precision"], of_class["recall"]]
        precision, recall = ("–" if share is None else f"{share:.2%}" for share in shares)
        lines.append(f"{name:>{width}}{of_class['images']:>10,}{precision:>12}{recall:>10}")
    lines.append("\nConfusion matrix: a row for what it is, a column for what the model said")
    lines.append(confusion_table(labels, logits, classes))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
