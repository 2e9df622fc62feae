"""minivit: a Vision Transformer whose every gradient is written by hand, in NumPy."""

import importlib

from .checks import gradcheck, structure
from .classifier import Classifier
from .data.digits import load_digits
from .losses import cross_entropy
from .models import ViT
from .optim import (
    EMA,
    SGD,
    Adam,
    AdamW,
    Muon,
    clip_by_global_norm,
    warmup_cosine,
    warmup_inverse_sqrt,
    warmup_linear,
)
from .params import Params

__version__ = "0.1.0"  # CITATION.cff and CHANGELOG.md say the same
__all__ = [
    "EMA",
    "SGD",
    "Adam",
    "AdamW",
    "Classifier",
    "Muon",
    "Params",
    "ViT",
    "clip_by_global_norm",
    "cross_entropy",
    "gradcheck",
    "load_digits",
    "structure",
    "warmup_cosine",
    "warmup_inverse_sqrt",
    "warmup_linear",
]


def __getattr__(name: str) -> object:
    """Called by Python for `minivit.pretrained`, which is loaded when it is first asked for."""
    if name == "pretrained":
        return importlib.import_module(".pretrained", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
