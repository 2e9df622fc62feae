"""Folders of runs that were never trained, for tests that read or write one."""

from pathlib import Path

import numpy as np

import minivit
from minivit.checks.numeric import random_params
from minivit.data.normalize import Normalize
from minivit.training import save_run

DIGITS = [str(digit) for digit in range(10)]


def save_untrained(folder, classes=DIGITS, **changes):
    """A run of a small model of digits with random parameters."""
    sizes = dict(image_size=28, patch_size=14, channels=1, dim=12, depth=2, heads=3, mlp_dim=8)
    model = minivit.ViT(**(sizes | changes), classes=len(classes))
    params = random_params(model, np.random.default_rng(0)).astype(np.float32)
    Path(folder).mkdir()
    save_run(folder, model, params, Normalize(0.13, 0.31), classes, [dict(step=0)])


def saved(folder, rows, pool="cls", dtype=np.float32):
    """A run of a tiny oblong model with these rows; return the model and its parameters."""
    model = minivit.ViT(
        image_size=(4, 6), patch_size=2, channels=1, dim=6, depth=2, heads=2, mlp_dim=5, classes=3,
        pool=pool,
    )  # fmt: skip
    params = minivit.Params(model.init(np.random.default_rng(1), dtype))
    params.flat += 0.1
    save_run(str(folder), model, params, Normalize(0.1, 0.3), ["a", "b", "c"], rows)
    return model, params
