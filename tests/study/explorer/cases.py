"""Traces to make pages of."""

import base64
import functools

import numpy as np

import minivit
from minivit.checks.numeric import random_params
from minivit.study import trace
from minivit.study.explorer import page_data

SMALL = dict(
    image_size=(8, 12), patch_size=4, channels=1, dim=12, depth=2, heads=3, mlp_dim=10, classes=5,
)  # fmt: skip
DEFAULT = dict(
    image_size=28, patch_size=7, channels=1, dim=64, depth=4, heads=2, mlp_dim=128, classes=10,
)  # fmt: skip
PIXELS = np.random.default_rng(1).integers(0, 256, (28, 28), np.uint8)


def traced(config=SMALL, **changes):
    """The Trace of a ViT for one image, with random parameters."""
    model = minivit.ViT(**config | changes)
    rng = np.random.default_rng(0)
    image = rng.standard_normal((1, *model.config["image_size"], model.config["channels"]))
    return trace(model, random_params(model, rng), image, np.array([3]))


@functools.cache
def small_trace(**changes):
    return traced(**changes)


@functools.cache
def small_data(**changes):
    return data_of(small_trace(**changes))


def data_of(record):
    height, width = record.x.shape[1:3]
    classes = [str(number) for number in range(record.layer.config["classes"])]
    return page_data(record, PIXELS[:height, :width], classes)


def unpacked(packed):
    """The array that the page makes of what Python has packed."""
    return np.frombuffer(base64.b64decode(packed["float64"])).reshape(packed["shape"])
