"""From any image to the tokens that a Vision Transformer reads, and the same as a convolution."""

from typing import NamedTuple

import numpy as np

from ...layers import LayerNorm, Patches


class Embedded(NamedTuple):
    """The result of `patch_image`."""

    patches: np.ndarray
    embeddings: np.ndarray
    params: dict


def patch_image(images, patch_size, dim, rng, *, norm=False, grid=False):
    """Cut images (B, H, W, C) into patches and project each to `dim` numbers, as a new ViT does.

    patch_size: P for squares, or height and width (P, Q); they divide H and W
    rng:        a np.random.Generator, which draws the weights
    norm:       layer norm after the projection
    grid:       return the embeddings as a grid, in place of one long list
    Returns Embedded
        patches:    (B, N, P·Q·C), N = (H/P)·(W/Q), row by row
        embeddings: (B, N, D), or as a grid (B, H/P, W/Q, D)
        params:     w (P·Q·C, D), b (D,) of the projection
    Errors: ValueError or TypeError for images of another shape, or sizes that do not fit.
    """
    if images.ndim != 4:
        raise ValueError(f"patch_image: images are (B, H, W, C), got shape {images.shape}")
    B, H, W, C = images.shape
    layer = Patches(H, W, patch_size, C, dim)
    params = layer.init(rng, images.dtype)
    embeddings, cache = layer.forward(params, images)  # (B, N, D)
    if norm:
        ln = LayerNorm(dim)
        embeddings, _ = ln.forward(ln.init(rng, images.dtype), embeddings)  # (B, N, D)
    if grid:
        embeddings = embeddings.reshape(B, layer.rows, layer.columns, dim)  # (B, H/P, W/Q, D)
    return Embedded(cache["x"], embeddings, params)


def convolve(images, kernels, bias):
    """Convolve images (B, H, W, C) with kernels (P, Q, C, D), with a stride of the kernels' size.

    By the definition, as a sum over the positions in a kernel; returns (B, H/P, W/Q, D).
    """
    P, Q = kernels.shape[:2]
    return bias + sum(
        images[:, i::P, j::Q] @ kernels[i, j]  # (B, H/P, W/Q, C) @ (C, D)
        for i in range(P)
        for j in range(Q)
    )
