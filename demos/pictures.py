"""Pictures of any kind and size, made what a run was trained on."""

import cv2

from minivit.data.images import load_image, load_pixels
from minivit.data.likeness import LEAST, likeness
from minivit.data.scans import SIDE, scan_digit

DIGITS = [str(digit) for digit in range(10)]


def reads_digits(model, classes):
    """Whether a run was trained on digits as MNIST has them."""
    size = [*model.config["image_size"], model.config["channels"]]
    return (list(classes), size) == (DIGITS, [SIDE, SIDE, 1])


def as_trained_on(model, classes, source):
    """Read a file or URL; return (H, W, C) uint8 as the training images are, and doubts about it.

    A run on MNIST gets a digit drawn as MNIST does it; any other the middle of the picture at its
    size, in colour or grey. Errors: those of `load_image`; ValueError for other channels.
    """
    if reads_digits(model, classes):
        return drawn_as_mnist(load_image(source))
    channels = model.config["channels"]
    if channels not in (1, 3):
        raise ValueError(f"the run reads images of {channels} channels; a picture has 3, or 1")
    pixels = load_pixels(source, *model.config["image_size"])
    if channels == 1:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None]
    return pixels, []


def drawn_as_mnist(image):
    """The digit in a picture (H, W, 3), RGB in [0, 1]: (28, 28, 1) uint8, and doubts about it."""
    pixels, doubts = scan_digit(image)
    if pixels.any() and (alike := likeness(pixels)) < LEAST:
        doubts.append(f"the most similar digit of MNIST is only {alike:.0%} like it")
    return pixels[:, :, None], doubts
