"""See backprop through attention: one digit, every number, on one page in the browser."""

import contextlib
import os
import sys
import webbrowser

from minivit.files import write_file
from minivit.study.explorer import page_data, page_html, serve

from . import digit
from .options import command, new_file, parser_of, propose, status


def arguments(argv=None):
    parser = parser_of("explore", __doc__)
    add = parser.add_argument
    choice = digit.add_options(parser)
    choice.add_argument("--image", metavar="FILE|URL", help="a picture of a digit, of any size")
    label_help = "the image's class, for the loss; default: its label, or what the model reads"
    add("--label", metavar="CLASS", help=label_help)
    add("--write", type=new_file, metavar="FILE.html", help="write the page to disk, and stop")
    add("--no-browser", action="store_true", help="print the page's address and open nothing")
    return parser.parse_args(argv)


def main(argv=None):
    return status("explore", lambda: explore(arguments(argv)))


def explore(options):
    if options.image and "://" not in options.image:
        os.stat(options.image)  # a missing file is refused before a model trains
    classifier = digit.classifier_of(options)
    if classifier.model.config["channels"] != 1:
        run = digit.run_of(options)
        other = command("attention_backprop", run)
        raise ValueError(f"{run} reads colour images, the page shows grey; try {other}")
    pixels, label, warnings = image_of(options, classifier)
    record = digit.traced(classifier, pixels, label)
    labelled = options.label is not None or not options.image
    how = dict(labelled=labelled, warnings=warnings, alone=bool(options.write))
    data = page_data(record, pixels[:, :, 0], classifier.classes, **how)
    if options.write:
        page = page_html(data).encode()
        write_file(options.write, page)
        print(f"{options.write}: {len(page) / 1e6:.1f} MB; open it in a browser")
    else:
        show(record, data, not options.no_browser)
    run = [options.run] if options.run else []
    propose("walk through one head in the terminal", "attention_backprop", *run)


def show(record, data, browser):
    """Serve the page until Ctrl+C."""
    with serve(record, data) as server:
        url = f"http://127.0.0.1:{server.server_port}/"
        print(f"The page is at {url}, for this machine only, until you press Ctrl+C.", flush=True)
        if browser:
            webbrowser.open(url)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
        print()


def image_of(options, classifier):
    """The image (H, W, 1) uint8, the number of its class, and warnings about it.

    The class of a picture without --label is what the model reads.
    """
    classes, warnings = classifier.classes, []
    if options.label is not None and options.label not in classes:
        raise ValueError(f"--label: {options.label!r} is none of {', '.join(classes)}")
    if options.image:
        pixels, warnings = classifier.read(options.image)
        (probabilities,) = classifier.predict(pixels[None])
        label = int(probabilities.argmax())
        print(f"The model reads {classes[label]} ({probabilities[label]:.1%}).")
        if warnings:
            print(f"warning: this may not be a digit: {'; '.join(warnings)}", file=sys.stderr)
    else:
        number, pixels, label = digit.choose_image(options, classifier)
        print(f"Test image {number}; for another: --digit N, for your own picture: --image FILE")
    if options.label is not None:
        label = classes.index(options.label)
    return pixels.reshape(*pixels.shape[:2], 1), label, warnings


if __name__ == "__main__":
    sys.exit(main())
