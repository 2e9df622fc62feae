"""From an image to tokens: cut it, project each patch (ViT, arXiv:2010.11929, equation 1)."""

import numpy as np

from ....layers.initial import truncated_normal


class Patches:
    """Each patch of the image becomes one token, by the same linear map of its pixels.

        y = patches w + b        patches are cut row by row, each flattened as (P, Q, C)

    Params   w (P·Q·C, D)   b (D,)
    Forward  images (B, H, W, C) -> y (B, N, D), N = (H/P) · (W/Q)
    Cache    patches (B, N, P·Q·C)

        dw = patchesᵀ dy, over all patches      dimages: dpatches = dy wᵀ, moved back
    """

    def __init__(self, height, width, patch_size, channels, dim):
        """`patch_size` is P for squares, or height and width (P, Q)."""
        self.height, self.width, self.channels, self.dim = height, width, channels, dim
        self.patch_size = patch_size

    def init(self, rng, dtype=np.float32):
        P, Q = np.broadcast_to(self.patch_size, 2)
        d_in = P * Q * self.channels
        w = truncated_normal(rng, (d_in, self.dim), d_in**-0.5, dtype)
        return {"w": w, "b": np.zeros(self.dim, dtype)}

    def forward(self, params, images):
        B, H, W, C = images.shape
        P, Q = np.broadcast_to(self.patch_size, 2)
        grid = images.reshape(B, H // P, P, W // Q, Q, C)
        patches = grid.transpose(0, 1, 3, 2, 4, 5).reshape(B, -1, P * Q * C)  # (B, N, P·Q·C)
        y = patches @ params["w"] + params["b"]  # (B, N, D)
        return y, {"patches": patches}

    def backward(self, params, dy, cache, grads):
        B, H, W, C = len(dy), self.height, self.width, self.channels
        P, Q = np.broadcast_to(self.patch_size, 2)
        patches = cache["patches"]
        grads["w"] += patches.reshape(-1, P * Q * C).T @ dy.reshape(-1, dy.shape[-1])
        grads["b"] += dy.sum(axis=(0, 1))
        dpatches = dy @ params["w"].T  # (B, N, P·Q·C)
        dgrid = dpatches.reshape(B, H // P, W // Q, P, Q, C)
        dimages = dgrid.transpose(0, 1, 3, 2, 4, 5).reshape(B, H, W, C)
        return dimages
