"""Walk through one head of attention, forward line by line and backward in reverse, in numbers."""

import contextlib
import sys

import numpy as np

import minivit
from minivit.files import write_file
from minivit.layers import Softmax
from minivit.study import trace
from minivit.study.walk import as_markdown, as_text, walk

from . import digit
from .options import new_file, parser_of, seed, status


def arguments(argv=None):
    parser = parser_of("attention_backprop", __doc__)
    digit.add_options(parser)
    add = parser.add_argument
    add("--block", type=int, default=1, help="which block, from 1")
    add("--head", type=int, default=1, help="which of its heads, from 1")
    add("--seed", type=seed, default=0, help="decides on the numbers that are moved by hand")
    add("--write", type=new_file, metavar="FILE.md", help="write the walk as a document, and stop")
    return parser.parse_args(argv)


def main(argv=None):
    return status("attention_backprop", lambda: show(arguments(argv)))


def show(options):
    digits = minivit.load_digits(options.data)
    classifier = digit.classifier_of(options.run, digits)
    model = classifier.model
    for name, most in {"block": len(model.blocks), "head": model.config["heads"]}.items():
        if not 1 <= getattr(options, name) <= most:
            raise ValueError(f"--{name}: the model has {most}, got {getattr(options, name)}")
    number, pixels, label = digit.choose_digit(options.digit, digits.test, classifier)
    images = classifier.normalize(pixels[None]).astype(np.float64)
    params = classifier.params.astype(np.float64)
    record = trace(model, params, images, np.array([label]))
    chances, _ = Softmax().forward(record["logits"].value[0])
    said = int(chances.argmax())
    classes = classifier.classes
    head_line = (
        f"Test digit {number}, which is {classes[label]}; the model says {classes[said]}, "
        f"{chances[said]:.0%} sure. The loss is {record.loss:.4f}. Block {options.block} of "
        f"{len(model.blocks)}, head {options.head} of {model.config['heads']}: {model.tokens} "
        f"tokens (T) of width {model.config['dim']} (D)."
    )
    steps = walk(record, options.block - 1, options.head - 1, options.seed)
    if options.write:
        write_file(options.write, as_markdown(steps, head_line).encode())
        print(f"Written: {options.write}")
        return
    print(f"\n{head_line}\n")
    with contextlib.suppress(KeyboardInterrupt, EOFError):  # a person has seen enough
        for step in steps:
            print(f"{as_text(step)}\n")
            if sys.stdin.isatty():
                input("Enter for the next ")


if __name__ == "__main__":
    sys.exit(main())
