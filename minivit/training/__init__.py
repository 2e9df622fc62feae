"""Training: the loop, the evaluation, and the folder in which a run is kept."""

from .evaluate import confusion_matrix, evaluate, predict
from .fit import fit
from .run import load_run, new_run, save_run

__all__ = ["confusion_matrix", "evaluate", "fit", "load_run", "new_run", "predict", "save_run"]
