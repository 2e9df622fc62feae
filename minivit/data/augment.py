"""Augmentation: small changes that leave the meaning of an image as it is."""

import numpy as np


def random_shift(images, pixels, rng):
    """Move each image by its own amount, up to `pixels` each way; zeros come in at the edge.

    images (B, H, W) or (B, H, W, C) -> the same shape and dtype
    """
    B, H, W = images.shape[:3]
    margin = [(0, 0), (pixels, pixels), (pixels, pixels)] + [(0, 0)] * (images.ndim - 3)
    padded = np.pad(images, margin)
    down, right = rng.integers(0, 2 * pixels + 1, (2, B))
    shifted = np.empty_like(images)
    for i in range(B):
        shifted[i] = padded[i, down[i] : down[i] + H, right[i] : right[i] + W]
    return shifted
