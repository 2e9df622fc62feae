"""Look inside a published Vision Transformer on a photo: tokens, attention and a gradient."""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from minivit import pretrained
from minivit.data import preparation
from minivit.data.download import printable
from minivit.data.images import load_image, resize
from minivit.files import write_file
from minivit.study.photo import look
from minivit.study.photo_figure import encoded, photo_figure

from .options import new_file, parser_of, propose, status

PATCHES_A_SIDE = 42  # of a square photo; a ViT-S takes some 10 seconds and 2 GB on two cores
MOST_OBLONG = 10  # a photo, its longer side in shorter ones
FORMATS = (".jpg", ".jpeg", ".png")


def arguments(argv=None):
    parser = parser_of("photo", __doc__)
    add = parser.add_argument
    add("checkpoint", metavar="CHECKPOINT", help="a published network, a file or a folder")
    add("photo", metavar="PHOTO|URL", help="JPEG, PNG, WebP, BMP or TIFF")
    size_help = "side of a square with as many pixels as the photo is given; default: of 42 patches"
    add("--image-size", type=int, metavar="PIXELS", help=size_help)
    token_help = "the patch to compare with all others; default: the one least like their mean"
    add("--token", type=int, nargs=2, metavar=("ROW", "COLUMN"), help=token_help)
    other_help = "the patch that the gradient compares it with; default: the most similar elsewhere"
    add("--other", type=int, nargs=2, metavar=("ROW", "COLUMN"), help=other_help)
    add("--heads", type=int, help="heads of the attention, if the checkpoint does not say")
    add("--eps", type=float, help="of the layer norms, if the checkpoint does not say")
    add("--pool", choices=["cls", "mean"], help="what is read, if the checkpoint does not say")
    add("--out", type=picture, default="look.jpg", metavar="FILE", help="a .jpg or a .png")
    return parser.parse_args(argv)


def picture(path):
    if Path(path).suffix.lower() not in FORMATS:
        raise argparse.ArgumentTypeError(f"expected a name ending in .jpg or .png, got {path}")
    return new_file(path)


def main(argv=None):
    return status("photo", lambda: show(arguments(argv)))


def show(options):
    started = time.perf_counter()
    image = load_image(options.photo)
    model, params, normalize = network(options, image.shape)
    H, W = model.config["image_size"]
    pixels = np.rint(255 * resize(image, H, W)).astype(np.uint8)
    with np.errstate(all="ignore"):  # `look` refuses what is not finite
        (normalized,) = normalize(pixels[None])
    loaded = time.perf_counter()
    patches = [place and tuple(place) for place in (options.token, options.other)]
    found = look(model, params, normalized, *patches)
    looked = time.perf_counter()
    write_file(options.out, encoded(photo_figure(pixels, found), options.out))
    drawn = time.perf_counter()
    print(as_text(options, model, params, found))
    print(
        f"Seconds: {loaded - started:.1f} to read, {looked - loaded:.1f} forward and back, "
        f"{drawn - looked:.1f} to draw"
    )
    print(f"Written: {options.out}", file=sys.stderr)
    propose("learn how a photo becomes tokens", "patch_image", printable(options.photo))


def network(options, shape):
    """The network at the size of a photo (H, W, 3), its parameters and its Normalize."""
    known = dict(classes=0, heads=options.heads, eps=options.eps, pool=options.pool)
    model, params, config = pretrained.load(options.checkpoint, **known)
    if (channels := model.config["channels"]) != 3:
        raise ValueError(
            f"{options.checkpoint} reads images (H, W, {channels}); expected a network for photos, "
            "(H, W, 3)"
        )
    size = image_size(shape, model.config["patch_size"], options.image_size)
    if size != tuple(model.config["image_size"]):
        model, params, config = pretrained.load(options.checkpoint, image_size=size, **known)
    normalize, _ = preparation.of_dict(config["preparation"])  # the photo is not cropped
    return model, params, normalize


def image_size(shape, patch_size, side=None):
    """(height, width) of whole patches, near the photo's proportions, with about side² pixels."""
    side = PATCHES_A_SIDE * patch_size if side is None else side
    if side < 2 * patch_size:
        raise ValueError(f"--image-size {side} is less than two patches of {patch_size} pixels")
    if max(shape[:2]) > MOST_OBLONG * min(shape[:2]):
        raise ValueError(
            f"the photo has {shape[0]} x {shape[1]} pixels; expected sides of 1 to {MOST_OBLONG} "
            "at most, so crop it first"
        )
    scale = side / (shape[0] * shape[1]) ** 0.5
    height, width = (max(1, round(scale * pixels / patch_size)) for pixels in shape[:2])
    return height * patch_size, width * patch_size


def as_text(options, model, params, found):
    """What was found, in a few lines."""
    config = model.config
    H, W = config["image_size"]
    shares = ", ".join(f"{share:.1%}" for share in found.shares)
    lines = [
        f"{options.checkpoint}: {params.flat.size:,} parameters, {config['depth']} blocks of width "
        f"{config['dim']}, {config['heads']} heads",
        f"{printable(options.photo)}: {H} x {W} pixels, {model.patches.rows} x "
        f"{model.patches.columns} patches of {config['patch_size']}",
        f"Three principal components hold {shares} of the variance of the patch tokens",
        f"Patches {found.one} and {found.other}, row and column: the cosine of their tokens is "
        f"{found.similarity[found.other]:.3f}",
    ]
    if found.heads is None:
        lines.append("The network has no class token, so there is no attention of it to draw")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
