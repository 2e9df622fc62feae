"""See backprop through attention: one digit, every number, on one page in the browser."""

import sys
import time
import webbrowser
from pathlib import Path

import numpy as np

import minivit
from minivit.data.digits import Split
from minivit.data.preparation import Preparation
from minivit.files import write_file
from minivit.study import trace
from minivit.study.explorer import page_data, page_html, serve
from minivit.study.explorer.picture import read_picture
from minivit.study.figures import mistakes_by_loss
from minivit.training import fit, load_run, predict

from .options import new_file, parser_of

DEFAULT = Path("runs", "mnist")
PATCH = 7  # side of a patch of the model that learns where there is no run
CANDIDATES = 1000  # test digits among which one is looked for


def arguments(argv=None):
    parser = parser_of("explore", __doc__)
    add = parser.add_argument
    run_help = f"a run's folder; without one {DEFAULT}, and else a model learns for some seconds"
    add("run", nargs="?", metavar="RUN", help=run_help)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--image", metavar="FILE", help="a picture of a digit, of any size")
    digit_help = f"number of a test digit; without one the most wrong of the first {CANDIDATES}"
    choice.add_argument("--digit", type=int, metavar="N", help=digit_help)
    label_help = "what the image is, for the loss; without it, of an --image, what the model says"
    add("--label", metavar="CLASS", help=label_help)
    add("--data", default="mnist", help='data set of the run: "mnist", "fashion-mnist", a folder')
    write_help = "write the page, which opens from disk, and stop"
    add("--write", type=new_file, metavar="FILE.html", help=write_help)
    add("--no-browser", action="store_true", help="print the page's address and open nothing")
    return parser.parse_args(argv)


def main(argv=None):
    options = arguments(argv)
    try:
        explore(options)
    except (ValueError, OSError) as error:
        print(f"explore: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print()
    return 0


def explore(options):
    digits = minivit.load_digits(options.data)
    model, params, preparation, classes = model_of(options.run, digits)
    pixels, label = image_of(options, digits, model, params, preparation, classes)
    start = time.perf_counter()
    prepared = preparation(pixels[None]).astype(np.float64)
    record = trace(model, params.astype(np.float64), prepared, np.array([label]))
    data = page_data(record, pixels, classes, alone=bool(options.write))
    seconds = time.perf_counter() - start
    if options.write:
        page = page_html(data).encode()
        write_file(options.write, page)
        size = f"{len(page) / 1e6:.1f} MB, made in {seconds:.1f} s"
        print(f"{options.write}: {size}; open it in a browser")
        return
    with serve(record, data) as server:
        url = f"http://127.0.0.1:{server.server_port}/"
        print(f"The page is at {url} until you press Ctrl+C; others cannot reach it.", flush=True)
        if not options.no_browser:
            webbrowser.open(url)
        server.serve_forever()


def model_of(run, digits):
    """The model of a run; else of runs/mnist; else one that learns now, for a few seconds."""
    if run or DEFAULT.is_dir():
        model, params, preparation, classes = load_run(run or DEFAULT)
        if list(classes) != list(digits.classes):
            raise ValueError(
                f"the run knows {', '.join(classes)}, the data {', '.join(digits.classes)}; give "
                "the data set of the run, such as --data fashion-mnist"
            )
        return model, params, preparation, classes
    print(
        f"There is no {DEFAULT} yet, so a model learns for some seconds. For a good one: "
        "python -m demos.train_mnist"
    )
    rng = np.random.default_rng(0)
    model = minivit.ViT(
        image_size=digits.train.images.shape[1:], patch_size=PATCH, channels=1, dim=64, depth=4,
        heads=2, mlp_dim=128, classes=len(digits.classes),
    )  # fmt: skip
    params = minivit.Params(model.init(rng))
    few = Split(digits.train.images[:20000], digits.train.labels[:20000])
    others = Split(digits.train.images[-1000:], digits.train.labels[-1000:])
    preparation = Preparation.of(few.images)
    optimizer = minivit.Muon(params, 0.02)
    fit(model, params, optimizer, few, others, preparation, epochs=2, batch_size=250)
    return model, params, preparation, digits.classes


def image_of(options, digits, model, params, preparation, classes):
    """The image (H, W) uint8 that is looked at, and the number of its class."""
    if options.label is not None and options.label not in classes:
        raise ValueError(f"--label: {options.label!r} is none of {', '.join(classes)}")
    if options.image:
        pixels = read_picture(options.image, *model.config["image_size"])
        label = int(predict(model, params, pixels[None], preparation).argmax())
    else:
        number = options.digit
        if number is None:
            number = most_wrong(digits.test, model, params, preparation)
        count = len(digits.test.labels)
        if not 0 <= number < count:
            raise ValueError(f"--digit: there are test digits 0 to {count - 1}, got {number}")
        print(f"Test digit {number}; another one: --digit N, a picture of your own: --image FILE")
        pixels, label = digits.test.images[number], int(digits.test.labels[number])
    if options.label is not None:
        label = list(classes).index(options.label)
    return pixels, label


def most_wrong(test, model, params, preparation):
    """The number of the mistake of the largest loss: where most flows back. 0 without mistakes."""
    logits = predict(model, params, test.images[:CANDIDATES], preparation)
    mistakes = mistakes_by_loss(test.labels[:CANDIDATES], logits)
    return int(mistakes[0]) if len(mistakes) else 0


if __name__ == "__main__":
    sys.exit(main())
