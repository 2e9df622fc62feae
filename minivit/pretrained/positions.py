"""Learned positions for another grid of patches: grid' = R · grid · Rᵀ, for each feature.

A model that learned its positions on one grid needs them on another if its images get another size.
Each library interpolates in its own way, but all of them treat rows and columns apart, and linearly
in the numbers of the grid. So a small matrix for each axis is all there is to it, and the way back
for gradients is its transpose.
"""

import numpy as np

KINDS = ("google", "timm", "huggingface", "torchvision")


def resize_matrix(old, new, kind):
    """Return R (new, old), float64, which resamples an axis of `old` places to `new` places.

    Place i of the new axis takes from the old ones, of which it lies at p[i]:

    google       bilinear, corners aligned: p = i (old − 1) / (new − 1)
                 (`interpolate_posembed` in google-research/vision_transformer)
    timm         cubic (Keys 1981, equation 4) with a = −½, p = (i + ½) old / new − ½; an axis that
                 shrinks takes a kernel wider by old / new; what lies outside is left out
                 (`resample_abs_pos_embed`, as Pillow's "bicubic")
    huggingface  cubic with a = −¾, the same p, never wider; outside, the edge goes on
                 (`interpolate_pos_encoding`, as PyTorch's "bicubic")

    torchvision  the same cubic, corners aligned (`interpolate_embeddings`)

    Each row sums to 1. An axis that keeps its size gets the identity.
    Errors: ValueError for another kind, or sizes below 1.
    """
    if kind not in KINDS:
        raise ValueError(f"resize_matrix: kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if min(old, new) < 1:
        raise ValueError(f"resize_matrix: sizes must be at least 1, got {old} and {new}")
    if old == new:
        return np.eye(old)
    aligned, centred = np.linspace(0, old - 1, new), (np.arange(new) + 0.5) * (old / new) - 0.5
    places = aligned if kind in ("google", "torchvision") else centred
    if kind == "google":
        return np.maximum(0, 1 - abs(places[:, None] - np.arange(old)))
    if kind == "timm":
        width = max(old / new, 1)
        weights = cubic((places[:, None] - np.arange(old)) / width, -0.5)
        return weights / weights.sum(axis=1, keepdims=True)
    beyond = 2  # so far a cubic reaches over the edge
    weights = cubic(places[:, None] - np.arange(-beyond, old + beyond), -0.75)
    matrix = weights[:, beyond:-beyond].copy()
    matrix[:, 0] += weights[:, :beyond].sum(axis=1)
    matrix[:, -1] += weights[:, -beyond:].sum(axis=1)
    return matrix


def cubic(x, a):
    """Keys' cubic convolution kernel: 1 at 0, 0 at all other integers and beyond ±2."""
    x = abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1  # |x| ≤ 1
    far = a * (((x - 5) * x + 8) * x - 4)  # 1 < |x| < 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def resize_positions(pos, old, new, kind):
    """Return positions (T', D) for a grid `new` of those (T, D) for a grid `old`.

    old, new: (rows, columns) of patches; rows of `pos` before those of the patches, of a class
              token, stay as they are
    """
    first = len(pos) - old[0] * old[1]
    grid = pos[first:].reshape(*old, -1)  # (H/P, W/P, D)
    of_rows, of_columns = (resize_matrix(*sizes, kind) for sizes in zip(old, new, strict=True))
    grid = np.einsum("ir,rcd,jc->ijd", of_rows, grid, of_columns, optimize=True)
    return np.concatenate([pos[:first], grid.reshape(new[0] * new[1], -1)]).astype(pos.dtype)
