"""Measure a trained run on test images: metrics, confusion matrix, the worst mistakes."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np

import minivit
from minivit.backend import usable_device
from minivit.checksums import expect_undamaged
from minivit.data.augment import Augmentation
from minivit.data.digits import Split, has_idx_files
from minivit.data.folders import class_files, files_sum, open_files, parts_in, split_files
from minivit.data.resized import Resized
from minivit.files import read_json, write_file
from minivit.study import figures
from minivit.study.report import confusion_table
from minivit.threads import cores, threads
from minivit.training import metrics

from .options import add_device, new_file, parser_of, propose, status


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
    views_help = (
        "average the logits of so many views of each image: the image, and others that are changed "
        "at random as in training, but not erased"
    )
    add("--views", type=int, default=1, metavar="COUNT", help=views_help)
    add_device(parser)
    options = parser.parse_args(argv)
    if options.views < 1:
        parser.error(f"--views must be at least 1, got {options.views}")
    return options


def main(argv=None):
    return status("evaluate", lambda: evaluate(arguments(argv)))


def evaluate(options):
    device = usable_device(options.device)
    classifier = minivit.Classifier.load(options.run, device)
    started = started_with(options.run)
    source = source_of(options, started, options.run, "DATA")
    split = test_images(source, started, classifier)
    augment = augmentation_of(started, options) if options.views > 1 else None
    with threads(cores() if device == "cpu" else 1) as mapper:
        views = views_of(split.images, augment, options.views)
        logits = sum(classifier.logits(view, mapper) for view in views) / options.views
    measured = metrics(split.labels, logits, classifier.classes)
    if options.json:
        said = {"run": options.run, "data": source, "views": options.views}
        print(json.dumps(said | measured, indent=2))
    else:
        of_each = f", {options.views} views of each" if options.views > 1 else ""
        print(f"{options.run} on {len(split.labels):,} test images of {source}{of_each}:")
        print(as_text(measured, split.labels, logits, classifier.classes))
    sheet = figures.worst_mistakes(*split, logits, classifier.classes)
    write_file(options.out, figures.png(sheet))
    print(f"Written: {options.out}", file=sys.stderr)
    propose("ask it about a picture of yours", "predict", options.run, "PICTURE", file=sys.stderr)


def augmentation_of(started, options):
    """The Augmentation of the run's training, which erases nothing; ValueError if it had none."""
    changes = started.get("options", {}).get("augment")
    if not changes:
        raise ValueError(
            f"{options.run} was trained without --augment, so it has seen no changed images; leave "
            "--views out"
        )
    return dataclasses.replace(Augmentation.of(changes), erase=0)


def views_of(images, augment, count):
    """Yield `count` times all the images: as they are, then each changed at random."""
    yield images
    rng = np.random.default_rng(0)
    for _ in range(count - 1):
        yield (augment.changed(np.asarray(image), rng) for image in images)


def started_with(run):
    """What a run was started with, as training.json or an older run's result.json says; or {}.

    Errors: those of `expect_undamaged` and `read_json`.
    """
    for name in ("training.json", "result.json"):
        if Path(run, name).is_file():
            started = read_json(Path(run, name))
            expect_undamaged(run, name)
            if isinstance(started.get("options"), dict):
                return started
    return {}


def source_of(options, started, run, name):
    """The data asked for, or else those of the run; ValueError if it does not name them."""
    source = options.data or started.get("options", {}).get("data")
    if not isinstance(source, str):
        raise ValueError(f"{run} does not say what it was trained on; give {name}, such as mnist")
    return source


def test_images(source, started, classifier):
    """Return the test images of a data set, a Split whose labels count the run's classes.

    Digits are brought to the size of a model, unless it is a model for images like MNIST's.
    Errors: ValueError if that takes images of another size, or for a class unknown to the run.
    """
    classes, config = classifier.classes, classifier.model.config
    if Path(source).is_dir() and not has_idx_files(source):
        return images_in(source, started, classifier)
    data = minivit.load_digits(source)
    actual = [*data.test.images.shape[1:], 1]
    expected = [*config["image_size"], config["channels"]]
    if actual != expected == [28, 28, 1]:
        raise ValueError(
            f"the images of {source} are {actual}; the run was trained on {expected}, height, "
            "width, channels"
        )
    unknown = [name for name in data.classes if name not in classes]
    if unknown:
        raise ValueError(
            f"{source} has {', '.join(unknown)}; the run knows {', '.join(classes)} only"
        )
    numbers = np.array([classes.index(name) for name in data.classes])
    images = data.test.images if actual == expected else Resized(data.test.images, *expected)
    return Split(images, numbers[data.test.labels])


def images_in(folder, started, classifier):
    """Return the test images in a folder of class folders; all images, if there is no test part.

    Of the folder that the run was trained on, wherever it lies now, the test images are those that
    were held out.
    """
    held_out = started.get("images", {}).get("held_out")
    is_own = is_of_run(folder, started)
    if held_out and is_own:
        files = {
            name: [str(Path(folder, path)) for path in paths] for name, paths in held_out.items()
        }
    elif parts_in(folder):
        files = split_files(folder, np.random.default_rng(0))["test"]
    elif is_own:
        raise ValueError(
            f"the run was trained on {folder} by an older version, which did not record what it "
            "held out; give a folder of other images"
        )
    else:
        files = class_files(folder)
    if not files:
        raise ValueError(f"{folder} has neither four idx files nor class folders with images")
    test, skipped = open_files(files, classifier.classes, lambda path: classifier.read(path)[0], {})
    for reason in skipped:
        print(f"evaluate: left out: {reason}", file=sys.stderr)
    return test


def is_of_run(folder, started):
    """Whether a folder is the one that a run was trained on, or has the same files."""
    options, images = started.get("options", {}), started.get("images", {})
    own = options.get("data")
    if own and Path(folder).resolve() == Path(own).resolve():
        return True
    try:
        parts = split_files(folder, np.random.default_rng(options.get("seed", 0)))
    except ValueError:  # nothing can be trained on it
        return False
    return files_sum(parts, folder) == images.get("checksum")


def as_text(measured, labels, logits, classes):
    """The metrics as a person reads them."""
    width = max(12, *map(len, classes))
    lines = [
        f"accuracy {measured['accuracy']:.2%}   top-{measured['k']} accuracy "
        f"{measured['top_k_accuracy']:.2%}   loss {measured['loss']:.4f}\n",
        f"{'':>{width}}{'images':>10}{'precision':>12}{'recall':>10}",
    ]
    for name, of_class in measured["classes"].items():
        shares = [of_class["precision"], of_class["recall"]]
        precision, recall = ("–" if share is None else f"{share:.2%}" for share in shares)
        lines.append(f"{name:>{width}}{of_class['images']:>10,}{precision:>12}{recall:>10}")
    lines.append("\nConfusion matrix: a row for each true class, a column for each prediction")
    lines.append(confusion_table(labels, logits, classes))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
