"""Walk through one head of attention in numbers: forward line by line, then backward in reverse."""

import contextlib
import sys

from minivit.files import write_file
from minivit.layers import Softmax
from minivit.study.lessons.walk import as_text, walk

from . import digit
from .options import new_file, parser_of, propose, status


def arguments(argv=None):
    parser = parser_of("attention_backprop", __doc__)
    digit.add_options(parser)
    add = parser.add_argument
    add("--block", type=int, default=0, help="which block, from 0")
    add("--head", type=int, default=0, help="which of its heads, from 0")
    add("--write", type=new_file, metavar="FILE.md", help="write the walk as a document, and stop")
    return parser.parse_args(argv)


def main(argv=None):
    return status("attention_backprop", lambda: show(arguments(argv)))


def show(options):
    classifier = digit.classifier_of(options)
    model, classes = classifier.model, classifier.classes
    for name, count in {"block": len(model.blocks), "head": model.config["heads"]}.items():
        if not 0 <= getattr(options, name) < count:
            raise ValueError(
                f"--{name}: the model has {name}s 0 to {count - 1}, got {getattr(options, name)}"
            )
    number, pixels, label = digit.choose_image(options, classifier)
    record = digit.traced(classifier, pixels, label)
    probabilities, _ = Softmax().forward(record["logits"].value[0])
    best = int(probabilities.argmax())
    introduction = (
        f"Test image {number}, labelled {classes[label]}; the model reads {classes[best]} "
        f"({probabilities[best]:.0%}). The loss is {record.loss:.4f}. Block {options.block} (of "
        f"0 to {len(model.blocks) - 1}), head {options.head} (of 0 to "
        f"{model.config['heads'] - 1}): {model.tokens} tokens (T) of width "
        f"{model.config['dim']} (D)."
    )
    steps = walk(record, options.block, options.head)
    if options.write:
        parts = ["# Backprop through one head of attention\n", f"{introduction}\n"]
        write_file(options.write, "\n".join([*parts, *map(as_text, steps)]).encode())
        print(f"Written: {options.write}")
    else:
        print(f"\n{introduction}\n")
        with contextlib.suppress(EOFError):  # the reader has seen enough
            for step in steps:
                print(as_text(step))
                if sys.stdin.isatty():
                    input("Enter for the next ")
    propose("write a backward yourself", "write_backward", "attention")


if __name__ == "__main__":
    sys.exit(main())
