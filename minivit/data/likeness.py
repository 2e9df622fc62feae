"""How much an image looks like a digit: like the most similar of those that MNIST has."""

import functools

import cv2
import numpy as np

from .digits import load_digits

COUNT = 10_000  # of MNIST's training digits
BLUR = 1.5  # pixels; a stroke may lie beside another and still be the same
LEAST = 0.915  # of digits that are not among them, 1 % are less alike


def likeness(pixels):
    """Return from 0 to 1 how alike an image (28, 28) uint8, as MNIST's, is to the nearest of them.

    It is the cosine of the angle between the two, as vectors of pixels, both blurred.
    """
    return float((_directions(pixels[None]) @ _known().T).max())


@functools.cache
def _known():
    return _directions(load_digits().train.images[:COUNT])


def _directions(images):
    """Blurred images as vectors of length 1, (n, H · W); zero if an image is black."""
    blurred = np.stack([cv2.GaussianBlur(image, (0, 0), BLUR) for image in images])
    vectors = blurred.reshape(len(images), -1).astype(np.float32)
    return vectors / np.maximum(1, np.linalg.norm(vectors, axis=1, keepdims=True))
