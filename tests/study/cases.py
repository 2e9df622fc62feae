"""A small model to trace, and layers as a reader may write them."""

import numpy as np

import minivit
from minivit.checks.inside import has_params
from minivit.checks.numeric import random_params
from minivit.layers import Linear
from minivit.study import trace


def traced_vit(seed=0, batch=3, **changes):
    """The Trace of a ViT with random parameters, in float64; all sizes differ from each other."""
    rng = np.random.default_rng(seed)
    config = dict(
        image_size=(4, 10), patch_size=2, channels=3, dim=14, depth=2, heads=2, mlp_dim=11,
        classes=5, pool="cls",
    )  # fmt: skip
    model = minivit.ViT(**{**config, **changes})
    H, W = model.config["image_size"]
    images = rng.standard_normal((batch, H, W, model.config["channels"]))
    labels = rng.integers(0, model.config["classes"], batch)
    return trace(model, random_params(model, rng), images, labels)


def traced(layer, shape, seed=0):
    """The Trace of a layer with random parameters, x and dy, in float64."""
    rng = np.random.default_rng(seed)
    params, x = random_params(layer, rng), rng.standard_normal(shape)
    y, _ = layer.forward(*([params] if has_params(layer) else []), x)
    dy = rng.standard_normal(y.shape)
    return trace(layer, params, x, dy=dy)


class Scaled:
    """y = 3 · linear(x) + 1, with the habits that make a trace hard."""

    def __init__(self):
        self.parts = [Linear(3, 4)]

    def init(self, rng, dtype=np.float32):
        return {"parts": [self.parts[0].init(rng, dtype)]}

    def forward(self, params, x):
        skip = x
        hidden, linear = self.parts[0].forward(params["parts"][0], x)
        hidden *= 3
        hidden += 1
        y = np.empty_like(
            hidden,
        )
        half = y[..., :2]
        np.copyto(y, hidden)
        add_to(half, skip[..., :2])
        for i in range(2):
            y[..., 2 + i] -= skip[..., 2]
        return y, {"parts": [linear]}

    def backward(self, params, dy, cache, grads):
        dskip = np.zeros((*dy.shape[:-1], 3))
        dskip[..., :2] = dy[..., :2]
        dskip[..., 2] = -dy[..., 2:].sum(axis=-1)
        dhidden = dy.copy()
        dhidden *= 3
        dx = self.parts[0].backward(
            params["parts"][0], dhidden, cache["parts"][0], grads["parts"][0]
        )
        dx += dskip
        return dx


def add_to(target, amount):
    """target += amount, where only the caller knows whose memory it is."""
    target += amount
