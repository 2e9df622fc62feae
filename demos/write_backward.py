"""Write the backward of a layer yourself: this makes the file, grades it, and trains with it."""

import sys
from pathlib import Path

import minivit
from minivit.data.normalize import Normalize
from minivit.files import write_file
from minivit.study.lessons.exercise import EXERCISES, exercise, put_into
from minivit.study.lessons.grading import grade, load_answer
from minivit.training import Progress, fit

from . import train_mnist
from .options import command, new_file, parser_of, propose, status

EPOCHS = 6  # about a minute with the engine's own layers on two cores


def arguments(argv=None):
    parser = parser_of("write_backward", __doc__)
    parser.add_argument("layer", choices=EXERCISES, help="the layer whose backward you write")
    file_help = "an answer to grade; without it LAYER_backward.py, which is written if missing"
    parser.add_argument("--file", type=new_file, help=file_help)
    parser.add_argument("--train", action="store_true", help="train MNIST with a right answer")
    return parser.parse_args(argv)


def main(argv=None):
    return status("write_backward", lambda: write_or_grade(arguments(argv)))


def write_or_grade(options):
    """Write the exercise if there is none yet, else grade it; return 1 if it is not right."""
    layer, default = options.layer, Path(f"{options.layer}_backward.py")
    file = Path(options.file or default)
    begin = command("write_backward", layer)
    again = begin if file == default else command("write_backward", layer, "--file", file)
    if not file.exists():
        if file != default:
            raise FileNotFoundError(f"there is no {file}; {begin} writes the exercise to {default}")
        write_file(file, exercise(layer, again).encode())
        print(f"Written: {file}. Fill in its backward, then run the same command again.")
        return 0
    if not file.is_file():  # Python would wait for a pipe
        raise OSError(f"{file} is a folder or a device; expected the exercise, a Python file")
    report, problem = grade(file, layer)
    print(report, end="\n\n" if report else "")
    if problem:
        print(f"Not right yet: {problem}")
        return 1
    print(f"Right: {file} computes the gradients of {layer}.")
    if options.train:
        train(layer, load_answer(file, layer))
    else:
        print(f"See it learn: {again} --train")
    propose("find a bug in the engine", "find_the_bug")
    return 0


def train(layer, answer):
    """Train a model on MNIST in which the answer takes the place of the engine's layer."""
    data, rng = train_mnist.load(train_mnist.arguments([]))
    model = minivit.ViT(
        image_size=28, patch_size=7, channels=1, dim=64, depth=4, heads=2, mlp_dim=128, classes=10,
        pool="cls" if layer in ("class_token", "first_token") else "mean",
        norm="post" if layer == "post_norm" else "pre",
        dropout=0.1 if layer == "dropout" else 0.0,
    )  # fmt: skip
    params = minivit.Params(model.init(rng))
    count = put_into(model, answer)
    print(
        f"A ViT of {params.flat.size:,} parameters learns MNIST; your {answer.__name__} works in "
        f"it {count} time{'s' if count > 1 else ''}."
    )
    normalize = Normalize.of(data.train.images)
    classifier = minivit.Classifier(model, params, normalize, data.classes)
    options = dict(epochs=EPOCHS, batch_size=250, shards=1)  # workers could not import the answer
    fit(Progress(classifier, minivit.Muon(params)), data.train, data.validation, **options)
    loss, accuracy, _ = classifier.evaluate(data.test)
    print(f"Test accuracy {accuracy:.2%}, loss {loss:.4f}, with your {answer.__name__}")


if __name__ == "__main__":
    sys.exit(main())
