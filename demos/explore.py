"""See backprop through attention: one digit, every number, on one page in the browser."""

import contextlib
import sys
import time
import webbrowser

import numpy as np

import minivit
from minivit.files import write_file
from minivit.study import trace
from minivit.study.explorer import page_data, page_html, serve
from minivit.study.explorer.picture import read_picture

from . import digit
from .options import new_file, parser_of, status

LARGE = 5e6  # bytes of a page


def arguments(argv=None):
    parser = parser_of("explore", __doc__)
    add = parser.add_argument
    choice = digit.add_options(parser)
    choice.add_argument("--image", metavar="FILE", help="a picture of a digit, of any size")
    label_help = "what the image is, for the loss; without it, of an --image, what the model says"
    add("--label", metavar="CLASS", help=label_help)
    write_help = "write the page, which opens from disk, and stop"
    add("--write", type=new_file, metavar="FILE.html", help=write_help)
    add("--no-browser", action="store_true", help="print the page's address and open nothing")
    return parser.parse_args(argv)


def main(argv=None):
    return status("explore", lambda: explore(arguments(argv)))


def explore(options):
    if options.image:
        open(options.image, "rb").close()  # refused at once if it is missing, before a model learns
    digits = minivit.load_digits(options.data)
    classifier = digit.classifier_of(options.run, digits)
    pixels, label = image_of(options, digits, classifier)
    start = time.perf_counter()
    prepared = classifier.normalize(pixels[None]).astype(np.float64)
    params = classifier.params.astype(np.float64)
    record = trace(classifier.model, params, prepared, np.array([label]))
    data = page_data(record, pixels, classifier.classes, alone=bool(options.write))
    seconds = time.perf_counter() - start
    if options.write:
        page = page_html(data).encode()
        write_file(options.write, page)
        size = f"{len(page) / 1e6:.1f} MB, made in {seconds:.1f} s"
        print(f"{options.write}: {size}; open it in a browser")
        if len(page) > LARGE:
            print(
                "That is much for one file: it holds every number of every block in float64, so "
                "that each sum agrees with its number in all digits shown. Without --write the "
                "same page opens sooner, and nothing is written."
            )
        return
    with serve(record, data) as server:
        url = f"http://127.0.0.1:{server.server_port}/"
        print(f"The page is at {url} until you press Ctrl+C; others cannot reach it.", flush=True)
        if not options.no_browser:
            webbrowser.open(url)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
        print()


def image_of(options, digits, classifier):
    """The image (H, W) uint8 that is looked at, and the number of its class."""
    classes = classifier.classes
    if options.label is not None and options.label not in classes:
        raise ValueError(f"--label: {options.label!r} is none of {', '.join(classes)}")
    if options.image:
        pixels = read_picture(options.image, *classifier.model.config["image_size"])
        label = int(classifier.logits(pixels[None]).argmax())
    else:
        number, pixels, label = digit.choose_digit(options.digit, digits.test, classifier)
        print(f"Test digit {number}; another one: --digit N, a picture of your own: --image FILE")
    if options.label is not None:
        label = list(classes).index(options.label)
    return pixels, label


if __name__ == "__main__":
    sys.exit(main())
