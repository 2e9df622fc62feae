"""Training: the loop, the evaluation, and the folder in which a run is kept."""

from .evaluate import evaluate, predict
from .fit import fit
from .metrics import confusion_matrix, metrics
from .run import load_run, new_run, save_run

__all__ = [
    "confusion_matrix",
    "evaluate",
    "fit",
    "load_run",
    "metrics",
    "new_run",
    "predict",
    "save_run",
]
