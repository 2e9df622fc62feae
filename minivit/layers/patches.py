"""From an image to tokens: cut it, project each patch (ViT, arXiv:2010.11929, equation 1)."""

import numpy as np

from .linear import Linear
from .refusals import expect_shape, positive_integers


def cut_patches(images, patch_size):
    """Cut images into square patches, row by row; each patch is flattened as (P, P, C).

    (B, H, W, C) -> (B, N, P·P·C), N = (H/P)·(W/P)
    """
    B, H, W, C = images.shape
    P = patch_size
    N = (H // P) * (W // P)
    grid = images.reshape(B, H // P, P, W // P, P, C)  # (B, H/P, P, W/P, P, C)
    return grid.transpose(0, 1, 3, 2, 4, 5).reshape(B, N, P * P * C)  # (B, N, P·P·C)


def join_patches(patches, height, width, patch_size):
    """Put the patches back where `cut_patches` took them from: (B, N, P·P·C) -> (B, H, W, C)."""
    B, P = len(patches), patch_size
    C = patches.shape[-1] // (P * P)
    grid = patches.reshape(B, height // P, width // P, P, P, C)  # (B, H/P, W/P, P, P, C)
    return grid.transpose(0, 1, 3, 2, 4, 5).reshape(B, height, width, C)  # (B, H, W, C)


class Patches:
    """Each patch of the image becomes one token, by the same linear map of its pixels.

        y = cut(images) w + b

    Params   w (P·P·C, D)   b (D,)
    Forward  images (B, H, W, C) -> y (B, N, D)
    Cache    that of the linear map
    Errors   ValueError if the image is not divisible into patches, or images are not (B, H, W, C)

    It is a convolution whose stride equals its kernel, so no pixel is used twice. Cutting only
    moves numbers to other places; its backward moves the gradients back: dimages = join(dpatches).
    """

    def __init__(self, height, width, patch_size, channels, dim):
        height, width, patch_size, channels = positive_integers(
            "Patches", height=height, width=width, patch_size=patch_size, channels=channels
        )
        if height % patch_size or width % patch_size:
            raise ValueError(
                f"Patches: an image of {height} x {width} pixels cannot be cut into patches of "
                f"{patch_size} x {patch_size}; choose a patch_size that divides both"
            )
        self.height, self.width, self.channels = height, width, channels
        self.patch_size = patch_size
        self.count = (height // patch_size) * (width // patch_size)
        self.linear = Linear(patch_size * patch_size * channels, dim)

    def init(self, rng, dtype=np.float32):
        return self.linear.init(rng, dtype)

    def forward(self, params, images):
        expect_shape("Patches", images, "B", self.height, self.width, self.channels)
        patches = cut_patches(images, self.patch_size)  # (B, N, P·P·C)
        y, cache = self.linear.forward(params, patches)  # (B, N, D)
        return y, cache

    def backward(self, params, dy, cache, grads):
        dpatches = self.linear.backward(params, dy, cache, grads)  # (B, N, P·P·C)
        dimages = join_patches(dpatches, self.height, self.width, self.patch_size)  # (B, H, W, C)
        return dimages
