"""See backprop through the whole network: a page that computes both passes, in the browser."""

import os
import sys
import webbrowser
from pathlib import Path

from minivit.files import write_file
from minivit.study.explorer import Digit, chosen, expect_small, page_data, page_html
from minivit.study.explorer.examples import MOST

from . import digit
from .options import command, new_file, parser_of, propose, status

NAME = "explorer.html"


def arguments(argv=None):
    parser = parser_of("explore", __doc__)
    add = parser.add_argument
    choice = digit.add_options(parser, "the worst mistake")
    choice.add_argument("--image", metavar="FILE|URL", help="a picture of a digit, of any size")
    label_help = "the image's class, for the loss; default: its label, if it has one"
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
    classifier, run = digit.classifier_of(options), digit.run_of(options)
    try:
        expect_small(classifier)
    except ValueError as error:
        raise ValueError(f"{run}: {error}; try {command('attention_backprop', run)}") from error
    data = page_data(classifier, digits_of(options, classifier), drawing=classifier.reads_digits)
    page = page_html(data).encode()
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


if __name__ == "__main__":
    sys.exit(main())
