"""What the checks run over: every layer, the loss and a small model, each with a fitting input.

All sizes of an input differ from each other and from the layer's: a transposition or a wrong axis
cannot hide.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..layers import (
    GELU,
    MLP,
    Attention,
    ClassToken,
    Dropout,
    FirstToken,
    Identity,
    LayerNorm,
    Linear,
    MeanPool,
    Patches,
    Positions,
    PostNormBlock,
    PreNormBlock,
    SinusoidalPositions,
    SinusoidalPositions2D,
    Softmax,
)
from ..losses import cross_entropy
from ..models import ViT
from .gradcheck import gradcheck
from .inside import Loss


class Case(NamedTuple):
    make: Callable  # () -> the layer, new
    shape: tuple  # of its input
    loss: Callable | None = None  # y -> (loss, dy)


def loss(logits):
    """Cross-entropy with every class among the labels, and with smoothing."""
    return cross_entropy(logits, np.arange(len(logits)) % logits.shape[1], smoothing=0.1)


MODEL: dict[str, Any] = dict(
    image_size=(4, 6), patch_size=2, channels=3, dim=6, depth=2, heads=2, mlp_dim=5, classes=3,
    pool="cls", dropout=0.2, drop_path=0.2,
)  # fmt: skip
CASES = {
    "linear": Case(partial(Linear, 7, 5), (2, 3, 7)),
    "gelu": Case(partial(GELU), (2, 3, 7)),
    "mlp": Case(partial(MLP, 5, 11), (2, 3, 5)),
    "layernorm": Case(partial(LayerNorm, 7), (2, 3, 7)),
    "softmax": Case(partial(Softmax), (2, 3, 7)),
    "attention": Case(partial(Attention, 15, 3), (2, 7, 15)),
    "dropout": Case(partial(Dropout, 0.3, 0.2), (5, 3, 7)),
    "block": Case(partial(PreNormBlock, 6, 2, 11, dropout=0.3, drop_path=0.2), (3, 5, 6)),
    "post_norm": Case(partial(PostNormBlock, 6, 2, 11, dropout=0.3, drop_path=0.2), (3, 5, 6)),
    "identity": Case(partial(Identity), (2, 3, 7)),
    "patches": Case(partial(Patches, 6, 10, 2, 3, 7), (2, 6, 10, 3)),
    "class_token": Case(partial(ClassToken, 5), (2, 3, 5)),
    "positions": Case(partial(Positions, 3, 5), (2, 3, 5)),
    "sinusoids_1d": Case(partial(SinusoidalPositions, 3, 10), (2, 3, 10)),
    "sinusoids_2d": Case(partial(SinusoidalPositions2D, 2, 5, 12), (3, 10, 12)),
    "mean_pool": Case(partial(MeanPool), (2, 3, 5)),
    "first_token": Case(partial(FirstToken), (2, 3, 5)),
    "cross_entropy": Case(partial(Loss, loss), (5, 3)),
    "vit": Case(partial(ViT, **MODEL), (3, 4, 6, 3), loss),
}


def check(name, *, method="complex", mode="full", seed=0):
    """Return the gradcheck Report of the case of that name, at an input drawn with the seed."""
    make, shape, case_loss = CASES[name]
    x = np.random.default_rng([seed, 1]).standard_normal(shape)
    return gradcheck(make(), x, loss=case_loss, method=method, mode=mode, seed=seed)
