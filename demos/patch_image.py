"""Cut any picture into patches and project each, step by step, as a Vision Transformer does."""

import sys

import numpy as np

from minivit.data.images import load_image, resize
from minivit.files import write_file
from minivit.study import figures
from minivit.study.lessons.patch_image import convolve, patch_image

from .options import new_file, parser_of, propose, seed, sides, status


def arguments(argv=None):
    parser = parser_of("patch_image", __doc__)
    add = parser.add_argument
    add("image", metavar="IMAGE|URL", help="a picture: JPEG, PNG, WebP, BMP or TIFF")
    pixels = dict(type=int, nargs="+", metavar="PIXELS")
    add("--size", default=[224], help="of the resized picture: side, or height and width", **pixels)
    add("--patch-size", default=[16], help="of a patch: side, or height and width", **pixels)
    add("--dim", type=int, default=768, help="width of an embedding")
    add("--norm", action="store_true", help="layer norm after the projection")
    add("--grid", action="store_true", help="arrange the embeddings in a grid, like the patches")
    add("--seed", type=seed, default=0, help="draws the weights, which are random")
    out = dict(type=new_file, metavar="FILE.png", help="a drawing of the patches")
    add("--out", default="patches.png", **out)
    options = parser.parse_args(argv)
    for name in ("size", "patch_size"):
        sides(parser, options, name)
    return options


def main(argv=None):
    return status("patch_image", lambda: show(arguments(argv)))


def show(options):
    picture = load_image(options.image)  # (H, W, 3)
    image = resize(picture, *options.size)
    images = (image[None] - 0.5) / 0.5  # (1, H, W, 3), as the Vision Transformer's paper does
    sizes, rng = (options.patch_size, options.dim), np.random.default_rng(options.seed)
    how = dict(norm=options.norm, grid=options.grid)
    patches, embeddings, params = patch_image(images, *sizes, rng, **how)
    H, W, C = image.shape
    P, Q = options.patch_size
    rows, columns = H // P, W // Q
    norm = ", layer norm" if options.norm else ""
    steps = [
        ("read", picture.shape, "height, width, and red, green, blue"),
        ("resized", image.shape, "area averages, or cubic interpolation to enlarge"),
        ("normalised", images.shape, "a batch of one, from −1 to 1"),
        ("cut", (1, rows, columns, P, Q, C), f"{rows} rows of {columns} patches"),
        ("flattened", patches.shape, f"{P} · {Q} · {C} = {P * Q * C} numbers each, row by row"),
        ("projected", embeddings.shape, f"x w + b{norm}; w is {params['w'].shape}"),
    ]
    for name, shape, meaning in steps:
        print(f"{name:<12}{shape!s:<26}{meaning}")

    print("\nThe first embeddings:")
    for token in embeddings.reshape(-1, options.dim)[:3]:
        more = " …" if len(token) > 6 else ""
        print("  [" + "".join(f"{number:8.4f}" for number in token[:6]) + f"{more}]")

    kernels = params["w"].reshape(P, Q, C, options.dim)
    convolution = convolve(images, kernels, params["b"])  # (1, H/P, W/Q, D)
    projection = patches @ params["w"] + params["b"]  # (1, N, D)
    difference = abs(convolution.reshape(projection.shape) - projection).max()
    print(
        f"\nAs a convolution, {options.dim} kernels of {P} x {Q} x {C}, stride {P} x {Q}: "
        f"largest difference {difference:.1e}, of numbers up to {abs(projection).max():.2f}."
    )
    write_file(options.out, figures.png(figures.patch_grid(image, options.patch_size)))
    print(f"Written: {options.out}")
    propose("see what attention does with patches", "explore")


if __name__ == "__main__":
    sys.exit(main())
