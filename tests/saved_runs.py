"""Classifiers that were never trained, in memory or in a run's folder, for tests to ask."""

from pathlib import Path

import numpy as np

import minivit
from minivit.checks.numeric import random_params
from minivit.data.normalize import Normalize

DIGITS = [str(digit) for digit in range(10)]
OBLONG = dict(image_size=(4, 6), patch_size=2, dim=6, heads=2, mlp_dim=5)


def untrained(classes=DIGITS, dtype=np.float32, **changes):
    """A small Classifier, of digits unless changed, with random parameters."""
    sizes = dict(image_size=28, patch_size=14, channels=1, dim=12, depth=2, heads=3, mlp_dim=8)
    model = minivit.ViT(**(sizes | changes), classes=len(classes))
    params = random_params(model, np.random.default_rng(0)).astype(dtype)
    return minivit.Classifier(model, params, Normalize(0.13, 0.31), classes)


def oblong(dtype=np.float32, **changes):
    """A tiny Classifier of three classes of images (4, 6), which has a class token."""
    return untrained(list("abc"), dtype, **(OBLONG | dict(pool="cls") | changes))


def save_untrained(folder, *arguments, **changes):
    """Save `untrained(*arguments, **changes)` in a new folder."""
    Path(folder).mkdir()
    untrained(*arguments, **changes).save(folder)
