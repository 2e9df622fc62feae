"""Walk through one head of attention in numbers: forward line by line, then backward in reverse."""

import contextlib
import sys

from minivit.files import write_file
from minivit.layers import Softmax
from minivit.study.lessons.walk import as_text, walk, walk_through
from minivit.transcriber import Transcriber

from . import digit
from .letter import choose_letter, is_reader, traced
from .options import new_file, parser_of, propose, status


def arguments(argv=None):
    parser = parser_of("attention_backprop", __doc__)
    digit.add_options(parser)
    add = parser.add_argument
    add("--block", type=int, default=0, help="which block, from 0; of a reader, of its decoder")
    add("--head", type=int, default=0, help="which of its heads, from 0")
    add("--cross", action="store_true", help="of a reader: the head that looks at the picture")
    letter_help = "of a reader: which letter of the strip, from 0; without it, the least sure one"
    add("--letter", type=int, metavar="N", help=letter_help)
    add("--write", type=new_file, metavar="FILE.md", help="write the walk as a document, and stop")
    return parser.parse_args(argv)


def main(argv=None):
    return status("attention_backprop", lambda: show(arguments(argv)))


def show(options):
    of_reader = bool(options.run) and is_reader(options.run)
    introduction, steps = (through_reader if of_reader else through_vit)(options)
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


def through_vit(options):
    """The introduction, and the Steps through a head of a ViT."""
    if options.cross or options.letter is not None:
        raise ValueError("--cross and --letter are for a reader; give a run of demos.read")
    classifier = digit.classifier_of(options)
    model, classes = classifier.model, classifier.classes
    expect_inside(options, model.blocks, model.config)
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
    return introduction, walk(record, options.block, options.head)


def through_reader(options):
    """The same of the decoder of a reader, for one letter of a strip."""
    transcriber = Transcriber.load(options.run)
    model = transcriber.model
    blocks, sizes = model.decoder.blocks, model.config
    expect_inside(options, blocks, sizes)
    letter = choose_letter(options, transcriber)
    record = traced(transcriber, letter)
    probabilities, _ = Softmax().forward(record["letter"].value[0])
    names = ["padding", "the begin", "the end", *transcriber.classes]
    right, best = letter.tokens[0, letter.place + 1], int(probabilities.argmax())
    told, T = letter.text[: letter.place] or "nothing yet", len(letter.text) + 1
    tokens = f"{T} tokens (T), the begin and {letter.text},"
    where = f"masked self-attention of {tokens}"
    if options.cross:
        where = f"cross-attention from {tokens} to the {model.tokens} patches (S) of the picture,"
    introduction = (
        f"Test strip {letter.strip}, labelled {letter.text}. Told {told}, the model goes on with "
        f"{names[best]} ({probabilities[best]:.0%}); right is {names[right]}. The loss is that of "
        f"this letter alone, {record.loss:.4f}; it sees the tokens 0 to {letter.place}. Block "
        f"{options.block} of the decoder (of 0 to {len(blocks) - 1}), head {options.head} (of 0 to "
        f"{sizes['heads'] - 1}): {where} of width {sizes['dim']} (D)."
    )
    path = f"reader.decoder.blocks.{options.block}.{'cross' if options.cross else 'attn'}"
    return introduction, walk_through(record, path, options.head)


def expect_inside(options, blocks, sizes):
    """Refuse a --block or --head that the model does not have."""
    for name, count in {"block": len(blocks), "head": sizes["heads"]}.items():
        if not 0 <= getattr(options, name) < count:
            raise ValueError(
                f"--{name}: the model has {name}s 0 to {count - 1}, got {getattr(options, name)}"
            )


if __name__ == "__main__":
    sys.exit(main())
