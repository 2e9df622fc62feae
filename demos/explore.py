"""See backprop through the whole network: a page that computes both passes, in the browser."""

import os
import sys
import webbrowser
from argparse import Namespace
from pathlib import Path

from minivit.files import write_file
from minivit.study.explorer import (
    Digit,
    chosen,
    chosen_strips,
    expect_small,
    page_data,
    page_html,
)
from minivit.study.explorer.examples import MOST, MOST_STRIPS
from minivit.transcriber import Transcriber

from . import digit, read
from .evaluate import started_with
from .letter import CANDIDATES, choose_letter, is_reader
from .options import command, new_file, parser_of, propose, status

NAME = "explorer.html"


def arguments(argv=None):
    parser = parser_of("explore", __doc__)
    add = parser.add_argument
    choice = digit.add_options(parser, "the worst mistake")
    image_help = "a picture of a digit, or for a reader of a line of them, of any size"
    choice.add_argument("--image", metavar="FILE|URL", help=image_help)
    label_help = "the image's class or text, for the loss; default: its label, if it has one"
    add("--label", metavar="CLASS", help=label_help)
    write_help = f"where the page is written; without it, {NAME} in the run's folder"
    add("--write", type=new_file, metavar="FILE.html", help=write_help)
    add("--no-browser", action="store_true", help="write the page and open nothing")
    return parser.parse_args(argv)


def main(argv=None):
    return status("explore", lambda: explore(arguments(argv)))


def explore(options):
    if options.image and "://" not in options.image:
        os.stat(options.image)  # a missing file is refused before a model trains
    run = digit.run_of(options)
    reads = run is not None and is_reader(run)
    classifier = Transcriber.load(run) if reads else digit.classifier_of(options)
    try:
        expect_small(classifier)
    except ValueError as error:
        raise ValueError(f"{run}: {error}; try {command('attention_backprop', run)}") from error
    digits = (strips_of if reads else digits_of)(options, classifier)
    page = page_html(page_data(classifier, digits, drawing=classifier.reads_digits)).encode()
    path = Path(options.write or Path(run or digit.DEFAULT.parent, NAME))
    path.parent.mkdir(exist_ok=True)
    write_file(path, page)
    opened = not options.no_browser and webbrowser.open(path.resolve().as_uri())
    print(f"{path}: {len(page) / 1e6:.1f} MB{'' if opened else '; open it in a browser'}")
    propose("walk through one head in the terminal", "attention_backprop", *filter(None, [run]))


def digits_of(options, classifier):
    """The images on the page; that which was asked for comes first."""
    classes, label = classifier.classes, options.label
    if label is not None and label not in classes:
        raise ValueError(f"--label: {label!r} is none of {', '.join(classes)}")
    if options.image:
        first, others = picture(options, classifier), []
        try:
            others = chosen(classifier, *digit.images_of(options, classifier))
        except (ValueError, OSError) as error:
            if options.data:
                raise
            print(f"explore: it is the only image on the page: {error}", file=sys.stderr)
    else:
        images, labels = digit.images_of(options, classifier)
        first, *others = chosen(classifier, images, labels, options.digit)
        other = "for another: --digit N, for your own picture: --image FILE"
        print(f"{first.name.capitalize()}; {other}")
    if label is not None:
        first = first._replace(label=classes.index(label))
    return [first, *others][:MOST]


def picture(options, classifier):
    """The picture that was asked for, as the model sees it; prints what it reads."""
    pixels, warnings = classifier.read(options.image)
    (probabilities,) = classifier.predict(pixels[None])
    best = int(probabilities.argmax())
    print(f"The model reads {classifier.classes[best]} ({probabilities[best]:.1%}).")
    if warnings:
        print(f"warning: this may not be a digit: {'; '.join(warnings)}", file=sys.stderr)
    return Digit(pixels, name="your picture", warnings=warnings)


def strips_of(options, transcriber):
    """The strips on the page of a reader; that which was asked for comes first."""
    first, others = None, []
    if options.image:
        first = strip(options, transcriber)
    try:
        number = choose_letter(Namespace(**vars(options), letter=None), transcriber).strip
        started = started_with(options.run)["options"]
        same = {name: started[name] for name in ("task", "seed")}
        few = min(max(CANDIDATES, number + 1), started["test_strips"])
        images, texts = read.load(Namespace(**same, strips=1, test_strips=few))[0].test
        others = chosen_strips(transcriber, images, texts, number)
    except (ValueError, OSError) as error:
        if first is None or options.data:
            raise
        print(f"explore: it is the only strip on the page: {error}", file=sys.stderr)
    if first is None:
        first, *others = others
        print(f"{first.name.capitalize()}; for another: --digit N, for your own: --image FILE")
    if options.label is not None:
        first = first._replace(label=options.label)
    return [first, *others][:MOST_STRIPS]


def strip(options, transcriber):
    """The picture of a line that was asked for, as the reader sees it; prints what it reads."""
    pixels, warnings = transcriber.read(options.image)
    ((text, probability),) = transcriber.transcribe(pixels[None])
    print(f"The model reads {text} ({probability:.1%}).")
    if warnings:
        print(f"warning: this may not be a line: {'; '.join(warnings)}", file=sys.stderr)
    return Digit(pixels, name="your picture", warnings=warnings)


if __name__ == "__main__":
    sys.exit(main())
