"""How good a trained run is on test images: metrics, confusion matrix, the worst mistakes."""

import json
import sys
from pathlib import Path

import numpy as np

import minivit
from minivit.files import write_file
from minivit.runs import load_run
from minivit.study import figures
from minivit.study.report import confusion_table
from minivit.training import metrics, predict
from minivit.training.step import cores, threads

from .options import new_file, parser_of


def arguments(argv=None):
    parser = parser_of("evaluate", __doc__)
    add = parser.add_argument
    add("run", metavar="RUN", help="a run's folder, such as runs/mnist")
    data_help = '"mnist", "fashion-mnist" or a folder with four idx files; None: the run\'s own'
    add("data", metavar="DATA", nargs="?", help=data_help)
    out_help = "the worst mistakes, drawn"
    add("--out", type=new_file, default="mistakes.png", metavar="FILE.png", help=out_help)
    add("--json", action="store_true", help="print the metrics as JSON")
    return parser.parse_args(argv)


def main(argv=None):
    options = arguments(argv)
    try:
        evaluate(options)
    except (ValueError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    return 0


def evaluate(options):
    model, params, preparation, classes = load_run(options.run)
    source = options.data or own_data(options.run)
    images, labels = test_images(source, model, classes)
    with threads(cores()) as mapper:
        logits = predict(model, params, images, preparation, mapper=mapper)
    found = metrics(labels, logits, classes)
    if options.json:
        print(json.dumps({"run": options.run, "data": source, **found}, indent=2))
    else:
        print(f"{options.run} on the {len(labels):,} test images of {source}:")
        print(as_text(found, labels, logits, classes))
    sheet = figures.worst_mistakes(images, labels, logits, classes)
    write_file(options.out, figures.png(sheet))
    print(f"Written: {options.out}", file=sys.stderr)


def own_data(run):
    """The data that a run was trained on, as its result.json says; "mnist" if there is none."""
    try:
        result = json.loads(Path(run, "result.json").read_text(encoding="utf-8"))
        return str(result["options"]["data"])
    except (OSError, ValueError, TypeError, KeyError):
        return "mnist"


def test_images(source, model, classes):
    """The test images of a data set, and their labels as the run counts its classes.

    Errors: ValueError if the images are of another size, or of a class that the run does not know.
    """
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
    return data.test.images, numbers[data.test.labels]


def as_text(found, labels, logits, classes):
    """The metrics as a person reads them."""
    lines = [
        f"accuracy {found['accuracy']:.2%}   one of the first {found['k']} "
        f"{found['top_k_accuracy']:.2%}   loss {found['loss']:.4f}\n",
        f"{'':>12}{'images':>10}{'precision':>12}{'recall':>10}",
    ]
    for name, of_class in found["classes"].items():
        shares = [of_class["precision"], of_class["recall"]]
        precision, recall = ("–" if share is None else f"{share:.2%}" for share in shares)
        lines.append(f"{name:>12}{of_class['images']:>10,}{precision:>12}{recall:>10}")
    lines.append("\nConfusion matrix: a row for what it is, a column for what the model said")
    lines.append(confusion_table(labels, logits, classes))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
