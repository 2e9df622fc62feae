"""Write the backward of a layer yourself: this makes the file, grades it, and trains with it."""

import sys
from pathlib import Path

import numpy as np

import minivit
from minivit.data.digits import hold_out
from minivit.data.normalize import Normalize
from minivit.files import write_file
from minivit.study.exercise import EXERCISES, NotRight, exercise, grade, load_answer, put_into
from minivit.training import Progress, fit

from .options import command, new_file, parser_of, status

EPOCHS = 6  # about a minute with the engine's own layers on two cores
HELD_OUT = 5_000  # images


def arguments(argv=None):
    parser = parser_of("write_backward", __doc__)
    parser.add_argument("layer", choices=EXERCISES, help="whose backward is to be written")
    file_help = "the exercise; without one, LAYER_backward.py, here"
    parser.add_argument("--file", type=new_file, help=file_help)
    parser.add_argument("--train", action="store_true", help="train MNIST with a right answer")
    options = parser.parse_args(argv)
    file = ["--file", options.file] if options.file else []
    options.command = command("write_backward", options.layer, *file)
    options.file = Path(options.file or f"{options.layer}_backward.py")
    return options


def main(argv=None):
    return status("write_backward", lambda: write_or_grade(arguments(argv)))


def write_or_grade(options):
    """Write the exercise if there is none yet, else grade it; return 1 if it is not right."""
    if not options.file.exists():
        write_file(options.file, exercise(options.layer, options.command).encode())
        print(f"Written: {options.file}. Fill in its backward, then run the same command again.")
        return 0
    try:
        answer = load_answer(options.file, options.layer)
    except NotRight as problem:
        print(f"Not right yet: {problem}")
        return 1
    report, problem = grade(answer, options.file, options.layer)
    print(report or "", end="\n\n" if report else "")
    if problem:
        print(f"Not right yet: {problem}")
        return 1
    print(f"Right: {options.file} has the gradients of {answer.__name__}.")
    if options.train:
        train(options, answer)
    else:
        print(f"See it learn: {options.command} --train")
    return 0


def train(options, answer):
    data = minivit.load_digits("mnist")
    rng = np.random.default_rng(0)
    training, validation = hold_out(data.train, HELD_OUT, rng)
    normalize = Normalize.of(training.images)
    model = minivit.ViT(
        image_size=28, patch_size=7, channels=1, dim=64, depth=4, heads=2, mlp_dim=128, classes=10,
        pool="cls" if options.layer in ("class_token", "first_token") else "mean",
        norm="post" if options.layer == "post_norm" else "pre",
        dropout=0.1 if options.layer == "dropout" else 0.0,
    )  # fmt: skip
    params = minivit.Params(model.init(rng))
    count = put_into(model, answer)
    print(
        f"A ViT of {params.flat.size:,} parameters, in which your {answer.__name__} works", end=""
    )
    print(f" {count} times, learns MNIST.")
    classifier = minivit.Classifier(model, params, normalize, data.classes)
    progress = Progress(classifier, minivit.Muon(params))
    options = dict(epochs=EPOCHS, batch_size=250, shards=1)  # workers could not import the answer
    fit(progress, training, validation, **options)
    loss, accuracy, _ = classifier.evaluate(data.test)
    print(f"Test accuracy {accuracy:.2%}, loss {loss:.4f}, with your {answer.__name__}")


if __name__ == "__main__":
    sys.exit(main())
