"""Make positions.safetensors: `python -m tests.pretrained.golden.make_positions`.

It runs in the root folder, and needs `pip install scipy==1.17.1 timm==1.0.31 torch==2.14.1
safetensors`. Each library resizes a grid of positions in its own way. "KIND/NUMBER/old" and
"KIND/NUMBER/new" have the shape (rows, columns, 3), in float64.
"""

import numpy as np
import scipy
import timm
import torch
from timm.layers import resample_abs_pos_embed

from .case import write

SIZES = [((5, 7), (9, 6)), ((5, 7), (3, 4)), ((4, 4), (11, 7)), ((6, 6), (6, 6))]  # old, new


def google(grid, size):
    """The call of interpolate_posembed, vit_jax/checkpoint.py, which allows squares only."""
    rows, columns, _ = grid.shape
    return scipy.ndimage.zoom(grid, (size[0] / rows, size[1] / columns, 1), order=1)


def timm_way(grid, size):
    """The call of resample_abs_pos_embed, which itself casts to float32."""
    new = interpolated(grid, size, antialias=True)
    tokens = torch.tensor(grid).flatten(0, 1)[None]
    near = resample_abs_pos_embed(tokens, list(size), list(grid.shape[:2]), num_prefix_tokens=0)
    assert np.abs(near[0].unflatten(0, size).numpy() - new).max() < 1e-6
    return new


def huggingface(grid, size):
    """The call of interpolate_pos_encoding in ViT and Dinov2, which allow squares only."""
    return interpolated(grid, size, align_corners=False)


def torchvision(grid, size):
    """The call of interpolate_embeddings in torchvision, which allows squares only."""
    return interpolated(grid, size, align_corners=True)


def interpolated(grid, size, **options):
    features = torch.tensor(grid).permute(2, 0, 1)[None]  # (1, 3, rows, columns)
    new = torch.nn.functional.interpolate(features, size=size, mode="bicubic", **options)
    return new[0].permute(1, 2, 0).numpy()


KINDS = {
    "google": google, "timm": timm_way, "huggingface": huggingface, "torchvision": torchvision
}  # fmt: skip


if __name__ == "__main__":
    arrays = {}
    for seed, (kind, resize) in enumerate(KINDS.items()):
        for number, (old, new) in enumerate(SIZES):
            grid = np.random.default_rng([4, seed, number]).standard_normal((*old, 3))
            resized = resize(grid, new)
            assert resized.shape == (*new, 3)
            assert resized.dtype == np.float64
            arrays |= {f"{kind}/{number}/old": grid, f"{kind}/{number}/new": resized}
    torch_version = torch.__version__.split("+")[0]
    versions = f"scipy {scipy.__version__}, timm {timm.__version__}, torch {torch_version}"
    write("positions", arrays, library=versions)
