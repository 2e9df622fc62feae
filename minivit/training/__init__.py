"""Training: the step, the loop, the metrics, and the folder in which a run is kept."""

from .fit import fit
from .metrics import confusion_matrix, metrics
from .progress import Progress
from .run import Run

__all__ = ["Progress", "Run", "confusion_matrix", "fit", "metrics"]
