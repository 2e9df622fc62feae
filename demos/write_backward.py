"""Write the backward of a layer yourself: this makes the file, grades it, and trains with it."""

import secrets
import sys
from pathlib import Path

import minivit
from minivit.data.normalize import Normalize
from minivit.files import write_file, write_json
from minivit.study.lessons.answer import load_answer
from minivit.study.lessons.exercise import EXERCISES, exercise, put_into
from minivit.study.lessons.grading import grade, show
from minivit.study.lessons.hints import next_hint
from minivit.study.lessons.notebook import notebook_text
from minivit.study.lessons.repair import REPAIRS, exercise_of, repair
from minivit.study.lessons.student_build import student_build
from minivit.study.lessons.submissions import grade_folder, line_of, submissions, write_csv
from minivit.study.lessons.without_solutions import complete
from minivit.training import Progress, fit

from . import train_mnist
from .options import command, new_file, parser_of, propose, seed, status

EPOCHS = 6  # about a minute with the engine's own layers on two cores


def arguments(argv=None):
    parser = parser_of("write_backward", __doc__)
    add = parser.add_argument
    layer_help = "the layer whose backward you write, or repair"
    add("layer", nargs="?", choices=[*EXERCISES, *REPAIRS], metavar="layer", help=layer_help)
    file_help = "an answer to grade; without it LAYER_backward.py, which is written if missing"
    add("--file", type=new_file, help=file_help)
    add("--train", action="store_true", help="train MNIST with a right answer")
    add("--hint", action="store_true", help="show the next hint")
    add("--notebook", type=new_file, metavar="FILE.ipynb", help="write it out for a course")
    folder_help = "grade all submissions, FOLDER/STUDENT/LAYER_backward.py"
    add("--grade", metavar="FOLDER", help=folder_help)
    add("--json", type=new_file, metavar="FILE", help="write the grades of --grade")
    add("--csv", type=new_file, metavar="FILE", help="write them as a table")
    add("--seed", type=seed, help="of the numbers that submissions are tried at; else any")
    build_help = "make a copy of minivit without the solutions"
    add("--student-build", metavar="DIR", help=build_help)
    parser.epilog = f"layers: {', '.join(EXERCISES)}; to repair: {', '.join(REPAIRS)}"
    options = parser.parse_args(argv)
    if sum(map(bool, (options.layer, options.grade, options.student_build))) != 1:
        parser.error("give a layer, --grade FOLDER or --student-build DIR")
    if options.layer == "cross_entropy" and options.train:
        parser.error("--train is for layers and optimizers")
    return options


def main(argv=None):
    return status("write_backward", lambda: run(arguments(argv)))


def run(options):
    if options.grade:
        return grade_all(options)
    if options.student_build:
        student_build(options.student_build, minivit.__version__, Path(__file__).parent)
        print(f"Written: {options.student_build}; its README.md says what it can do.")
        return 0
    if options.notebook:
        write_file(options.notebook, notebook_text(options.layer, minivit.__version__).encode())
        print(f"Written: {options.notebook}, the instructor's, with the solution.")
        return 0
    return write_or_grade(options)


def grade_all(options):
    """Grade a folder of submissions; return 1 if one is not right."""
    if not complete():
        raise ValueError("this copy of minivit has no solutions to grade with; use the whole one")
    start = secrets.randbelow(2**31) if options.seed is None else options.seed
    found, others = submissions(options.grade)
    rows = []
    for row in grade_folder(options.grade, found, start, minivit.__version__):
        rows.append(row)
        print(line_of(row, found), flush=True)
    for path in others:
        print(f"not graded: {path}; expected a name that ends in softmax_backward.py or the like")
    if options.json:
        write_json(options.json, rows)
    if options.csv:
        write_csv(options.csv, rows)
    right = sum(row["cause"] is None for row in rows)
    again = command("write_backward", "--grade", options.grade, "--seed", start)
    print(f"{right} of {len(rows)} are right (minivit {minivit.__version__}). Again: {again}")
    return int(right < len(rows))


def write_or_grade(options):
    """Write the exercise if there is none yet, else grade it; return 1 if it is not right."""
    layer, default = options.layer, Path(f"{options.layer}_backward.py")
    file = Path(options.file or default)
    begin = command("write_backward", layer)
    again = begin if file == default else command("write_backward", layer, "--file", file)
    if options.hint:
        print(next_hint(layer, file.with_suffix(".hints")))
        return 0
    if not file.exists():
        if file != default:
            raise FileNotFoundError(f"there is no {file}; {begin} writes the exercise to {default}")
        write_file(file, (repair if layer in REPAIRS else exercise)(layer, again).encode())
        task = "Mend its bug" if layer in REPAIRS else "Fill in its backward"
        print(f"Written: {file}. {task}, then run the same command again.")
        return 0
    if not file.is_file():  # Python would wait for a pipe
        raise OSError(f"{file} is a folder or a device; expected the exercise, a Python file")
    name = exercise_of(layer)
    graded = grade(file, name)
    show(graded, file, name)
    if graded.cause:
        return 1
    if options.train:
        train(name, load_answer(file, name))
    else:
        print(f"See it learn: {again} --train")
    if complete():
        propose("find a bug in the engine", "find_the_bug")
    return 0


def train(layer, answer):
    """Train a model on MNIST in which the answer takes the place of the engine's."""
    data, rng = train_mnist.load(train_mnist.arguments([]))
    model = minivit.ViT(
        image_size=28, patch_size=7, channels=1, dim=64, depth=4, heads=2, mlp_dim=128, classes=10,
        pool="cls" if layer in ("class_token", "first_token") else "mean",
        norm="post" if layer == "post_norm" else "pre",
        dropout=0.1 if layer == "dropout" else 0.0,
    )  # fmt: skip
    params = minivit.Params(model.init(rng))
    if layer == "adam":
        optimizer, works = answer(params, 1e-3), f"your {answer.__name__} takes the steps"
    else:
        optimizer, count = minivit.Muon(params), put_into(model, answer)
        works = f"your {answer.__name__} works in it {count} time{'s' if count > 1 else ''}"
    print(f"A ViT of {params.flat.size:,} parameters learns MNIST; {works}.")
    normalize = Normalize.of(data.train.images)
    classifier = minivit.Classifier(model, params, normalize, data.classes)
    options = dict(epochs=EPOCHS, batch_size=250, shards=1)  # workers could not import the answer
    fit(Progress(classifier, optimizer), data.train, data.validation, **options)
    loss, accuracy, _ = classifier.evaluate(data.test)
    print(f"Test accuracy {accuracy:.2%}, loss {loss:.4f}, with your {answer.__name__}")


if __name__ == "__main__":
    sys.exit(main())
