"""Train a Vision Transformer without labels: put shuffled patches right, or paint missing ones.

With --objective permutation the encoder sees an image's patches shuffled, most without positions,
and says of each where it was. With --objective masked it sees a quarter of the patches, and a small
decoder paints the others. What it has learned serves demos.finetune.
"""

import os
import sys
from pathlib import Path

import cv2
import numpy as np

import minivit
from minivit.checksums import write_summed
from minivit.data.digits import has_idx_files
from minivit.data.folders import image_folder
from minivit.data.normalize import Normalize
from minivit.files import write_file, write_json
from minivit.models import Masked, Permutation
from minivit.pretrainer import Pretrainer
from minivit.training import Progress

from . import training, training_options
from .options import new_file, parser_of, propose, sides, status

SHOWN = 12  # images on a picture
RECIPES = {
    "permutation": dict(run="permutation", patch_size=7, epochs=6),
    "masked": dict(run="masked", patch_size=4, epochs=8, batch_size=100),
}

SAID = {
    "permutation": "{:.2%} of the patches put right, of those that are not blank",
    "masked": "{:.1%} of what is missing explained",
}


def arguments(argv=None):
    # The objective decides on the other defaults.
    first = parser_of("pretrain", None, add_help=False)
    first.add_argument("--objective", choices=RECIPES, default="masked", help="what is learned")
    recipe = RECIPES[first.parse_known_args(argv)[0].objective]
    parser = parser_of("pretrain", __doc__, parents=[first])
    add = parser.add_argument
    data_help = '"mnist", "fashion-mnist", a folder with four idx files or one of class folders'
    add("--data", default="mnist", help=data_help)
    size_help = "of a folder's images: side, or height and width"
    add("--image-size", type=int, nargs="+", metavar="PIXELS", default=[64], help=size_help)
    add("--patch-size", type=int, help="side of a patch in pixels")
    add("--dim", type=int, default=64, help="width of the model; divisible by 4")
    add("--depth", type=int, default=4, help="number of blocks")
    add("--heads", type=int, default=2, help="heads of the attention")
    add("--mlp-dim", type=int, default=128, help="width of the MLPs")
    add("--shown", type=float, default=0.25, help="permutation: share with positions")
    add("--seen", type=float, default=0.25, help="masked: share of the patches that is seen")
    add("--decoder-dim", type=int, default=32, help="masked: width of the decoder")
    add("--decoder-depth", type=int, default=1, help="masked: blocks of the decoder")
    training_options.add_optimizer(parser)
    parser.set_defaults(**recipe)
    json_help = "write the figures of the test into this file too"
    add("--json", metavar="FILE", type=new_file, help=json_help)
    options = training_options.parsed(parser, argv)
    sides(parser, options, "image_size")
    return options


def main(argv=None):
    return status("pretrain", lambda: pretrain(arguments(argv)))


def pretrain(options):
    folder = training.train("pretrain", options, load, start, finish=finish, after_epoch=draw_epoch)
    propose("learn classes from a few labels", "finetune", folder, "DATA", "--per-class", 10)


def load(options):
    """The data, and the generator of the first weights."""
    rng, place = np.random.default_rng(options.seed), Path(options.data)
    if place.is_dir():
        options.data = os.path.abspath(place)  # a run may be resumed from another folder
    if not place.is_dir() or has_idx_files(place):
        return training.of_digits(options.data, rng), rng
    model_of(options, options.image_size, 3)  # refuses sizes that do not fit, before all is read
    images = image_folder(options.data, *options.image_size, rng)
    return training.of_folder("pretrain", options.data, images), rng


def start(options, data, rng, device):
    """The Progress of a new model."""
    normalize = Normalize.of(data.train.images, training.MEASURED)
    _, H, W, *channels = data.train.images.shape
    model = model_of(options, (H, W), *(channels or [1]))
    params = minivit.Params(model.init(rng)).to(device)
    optimizer = training_options.optimizer_of(options, params)
    return Progress(Pretrainer(model, params, normalize, []), optimizer)


def model_of(options, image_size, channels):
    """The model that was asked for. Errors: those of Permutation and Masked."""
    names = ("patch_size", "dim", "depth", "heads", "mlp_dim")
    sizes = {name: getattr(options, name) for name in names}
    sizes |= dict(image_size=image_size, channels=channels, positions="sincos2d")
    if options.objective == "permutation":
        return Permutation(**sizes, shown=options.shown)
    decoder = dict(decoder_dim=options.decoder_dim, decoder_depth=options.decoder_depth)
    return Masked(**sizes, seen=options.seen, **decoder)


def draw_epoch(folder, progress, data):
    """Write what the model makes of a few validation images after an epoch."""
    from minivit.study.unlabelled import pictures, strip

    pretrainer = progress.classifier.with_params(progress.validated)
    _, made = pictures(pretrainer, *few(pretrainer, data.validation))
    write_picture(folder / "epochs" / f"{len(progress.validation_losses):04}.png", strip(made))


def few(pretrainer, split):
    """The first raw images of a Split, and what is drawn to ask of them: the same every time."""
    pixels = split.images[:SHOWN]
    return pixels, pretrainer.model.draw(np.random.default_rng(0), len(pixels))


def write_picture(path, pixels):
    path.parent.mkdir(exist_ok=True)
    colours = pixels[..., ::-1] if pixels.ndim == 3 else pixels  # OpenCV has blue first
    write_file(path, cv2.imencode(".png", colours)[1].tobytes())


def read_picture(path):
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return pixels[..., ::-1] if pixels.ndim == 3 else pixels


def finish(folder, options, pretrainer, progress, data, device, shards):
    """Test once, draw what was learned over the epochs, and print what a person wants to know."""
    from minivit.study import figures
    from minivit.study.unlabelled import pictures, strip

    pixels, places = few(pretrainer, data.validation)
    given, made = pictures(pretrainer, pixels, places)
    paths = sorted((folder / "epochs").glob("*.png"))
    chosen = {min(2**i, len(paths)) for i in range(len(paths))}  # 1, 2, 4, 8, … and the last
    strips = {"image": strip(pixels), "given": strip(given)}
    strips |= {f"epoch {i}": read_picture(paths[i - 1]) for i in sorted(chosen)}
    strips["best"] = strip(made)
    title = {
        "permutation": "Shuffled patches, and where the model puts them",
        "masked": "A share of the patches, and what the model paints around them",
    }[options.objective]
    write_file(folder / "pictures.png", figures.png(figures.strips(strips, title)))
    write_file(folder / "curves.png", figures.png(figures.curves(progress.rows)))
    with training.watched(shards, len(data.test.labels), "testing") as mapper:
        loss, share, _ = pretrainer.evaluate(data.test, mapper)
    result = dict(
        objective=options.objective, data=options.data, test_loss=loss,
        validation_loss_by_epoch=progress.validation_losses,
        train_seconds=progress.seconds, parameters=pretrainer.params.flat.size,
        images=len(data.test.labels), seed=options.seed, device=device,
    )  # fmt: skip
    result[{"permutation": "places_right", "masked": "explained"}[options.objective]] = share
    write_json(folder / "result.json", result | {"options": vars(options)}, write_summed)
    if options.json:
        write_json(Path(options.json), result)
    print(f"\nTest loss {loss:.4f}; {SAID[options.objective].format(share)}")
    print(f"Trained for {progress.seconds:.1f} s")
    training.list_files(folder)


if __name__ == "__main__":
    sys.exit(main())
