"""Training: the loop, the evaluation, and the folder in which a run is kept."""

from ..runs import load_run
from .checkpoint import load_checkpoint, save_checkpoint
from .evaluate import evaluate, predict
from .fit import fit
from .metrics import confusion_matrix, metrics
from .progress import Progress
from .run import fit_run, new_run, open_run, save_run

__all__ = [
    "Progress",
    "confusion_matrix",
    "evaluate",
    "fit",
    "fit_run",
    "load_checkpoint",
    "load_run",
    "metrics",
    "new_run",
    "open_run",
    "predict",
    "save_checkpoint",
    "save_run",
]
