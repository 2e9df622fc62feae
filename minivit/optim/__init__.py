"""Optimizers on one flat vector, learning-rate schedules, clipping and averaging.

    optimizer = Adam(params, lr=1e-3)
    optimizer.step(grads)               reads grads.flat, changes params.flat

An optimizer sees two vectors, p and g, and nothing of the network. What it keeps between steps are
vectors of the same length.
"""

from .adam import Adam, AdamW
from .clipping import clip_by_global_norm
from .ema import EMA
from .layer_rates import layer_rates
from .muon import Muon
from .optimizer import Optimizer, is_matrix
from .schedules import warmup_cosine, warmup_inverse_sqrt, warmup_linear
from .sgd import SGD
from .state import Stateful

__all__ = [
    "EMA",
    "SGD",
    "Adam",
    "AdamW",
    "Muon",
    "Optimizer",
    "Stateful",
    "clip_by_global_norm",
    "is_matrix",
    "layer_rates",
    "warmup_cosine",
    "warmup_inverse_sqrt",
    "warmup_linear",
]
