"""What the checks run over: every layer, the loss and a small model, each with a fitting input.

All sizes of an input differ from each other and from the layer's: a transposition or a wrong axis
cannot hide.
"""

import copy
from typing import Any, NamedTuple

import numpy as np

from ..layers import (
    GELU,
    MLP,
    Attention,
    ClassToken,
    Dropout,
    FirstToken,
    LayerNorm,
    Linear,
    MeanPool,
    Patches,
    Positions,
    PreNormBlock,
    Softmax,
)
from ..losses import cross_entropy
from ..vit import ViT
from .gradcheck import gradcheck
from .inside import Loss


class Case(NamedTuple):
    layer: Any
    shape: tuple  # of the input
    loss: Any = None  # y -> (loss, dy)


def loss(logits):
    """Cross-entropy with every class among the labels, and with smoothing."""
    return cross_entropy(logits, np.arange(len(logits)) % logits.shape[1], smoothing=0.1)


MODEL = ViT(
    image_size=(4, 6), patch_size=2, channels=3, dim=6, depth=2, heads=2, mlp_dim=5, classes=3,
    pool="cls",
)  # fmt: skip
CASES = {
    "linear": Case(Linear(7, 5), (2, 3, 7)),
    "gelu": Case(GELU(), (2, 3, 7)),
    "mlp": Case(MLP(5, 11), (2, 3, 5)),
    "layernorm": Case(LayerNorm(7), (2, 3, 7)),
    "softmax": Case(Softmax(), (2, 3, 7)),
    "attention": Case(Attention(15, 3), (2, 7, 15)),
    "dropout": Case(Dropout(0.3, 0.2), (5, 3, 7)),
    "block": Case(PreNormBlock(6, 2, 11), (3, 5, 6)),
    "patches": Case(Patches(6, 10, 2, 3, 7), (2, 6, 10, 3)),
    "class_token": Case(ClassToken(5), (2, 3, 5)),
    "positions": Case(Positions(3, 5), (2, 3, 5)),
    "mean_pool": Case(MeanPool(), (2, 3, 5)),
    "first_token": Case(FirstToken(), (2, 3, 5)),
    "cross_entropy": Case(Loss(loss), (5, 3)),
    "vit": Case(MODEL, (3, 4, 6, 3), loss),
}


def check(name, *, method="complex", mode="full", seed=0):
    """Return the gradcheck Report of the case of that name, at an input drawn with the seed."""
    layer, shape, case_loss = copy.deepcopy(CASES[name])  # a faulty one may write on itself
    x = np.random.default_rng([seed, 1]).standard_normal(shape)
    return gradcheck(layer, x, loss=case_loss, method=method, mode=mode, seed=seed)
