"""From an image to tokens: cut it, project each patch (ViT, arXiv:2010.11929, equation 1)."""

import numpy as np

from .linear import Linear
from .refusals import expect_shape, pair, positive_integers


def cut_patches(images, patch_size):
    """Cut images into patches, row by row; each patch is flattened as (P, Q, C).

    (B, H, W, C) -> (B, N, P·Q·C), N = (H/P)·(W/Q)

    patch_size: P for squares, as a ViT has them, where Q = P; or height and width (P, Q)
    """
    B, H, W, C = images.shape
    P, Q = pair("cut_patches", "patch_size", patch_size)
    N = (H // P) * (W // Q)
    grid = images.reshape(B, H // P, P, W // Q, Q, C)  # (B, H/P, P, W/Q, Q, C)
    return grid.transpose(0, 1, 3, 2, 4, 5).reshape(B, N, P * Q * C)  # (B, N, P·Q·C)


def join_patches(patches, height, width, patch_size):
    """Put the patches back where `cut_patches` took them from: (B, N, P·Q·C) -> (B, H, W, C)."""
    B, (P, Q) = len(patches), pair("join_patches", "patch_size", patch_size)
    C = patches.shape[-1] // (P * Q)
    grid = patches.reshape(B, height // P, width // Q, P, Q, C)  # (B, H/P, W/Q, P, Q, C)
    return grid.transpose(0, 1, 3, 2, 4, 5).reshape(B, height, width, C)  # (B, H, W, C)


class Patches:
    """Each patch of the image becomes one token, by the same linear map of its pixels.

        y = cut(images) w + b

    Params   w (P·Q·C, D)   b (D,)
    Forward  images (B, H, W, C) -> y (B, N, D)
    Cache    that of the linear map
    Errors   ValueError if the image is not divisible into patches, or images are not (B, H, W, C)

    It is a convolution whose stride equals its kernel, so no pixel is used twice. Cutting only
    moves numbers to other places; its backward moves the gradients back: dimages = join(dpatches).
    """

    def __init__(self, height, width, patch_size, channels, dim):
        """`patch_size` is P for squares, or height and width (P, Q)."""
        P, Q = pair("Patches", "patch_size", patch_size)
        height, width, P, Q, channels = positive_integers(
            "Patches", height=height, width=width, patch_height=P, patch_width=Q, channels=channels
        )
        if height % P or width % Q:
            raise ValueError(
                f"Patches: an image of {height} x {width} pixels cannot be cut into patches of "
                f"{P} x {Q}; choose a patch_size that divides both"
            )
        self.height, self.width, self.channels = height, width, channels
        self.patch_size = patch_size
        self.rows, self.columns = height // P, width // Q
        self.count = self.rows * self.columns  # N
        self.linear = Linear(P * Q * channels, dim)

    def init(self, rng, dtype=np.float32):
        return self.linear.init(rng, dtype)

    def forward(self, params, images):
        expect_shape("Patches", images, "B", self.height, self.width, self.channels)
        patches = cut_patches(images, self.patch_size)  # (B, N, P·Q·C)
        y, cache = self.linear.forward(params, patches)  # (B, N, D)
        return y, cache

    def backward(self, params, dy, cache, grads):
        dpatches = self.linear.backward(params, dy, cache, grads)  # (B, N, P·Q·C)
        dimages = join_patches(dpatches, self.height, self.width, self.patch_size)  # (B, H, W, C)
        return dimages
