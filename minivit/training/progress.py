"""Where a training stands."""

from ..optim import Stateful


class Progress(Stateful):
    """All that the steps of a training change; its `state()` is what a checkpoint keeps.

    params, optimizer: what is trained, and how
    ema:     an EMA of `params`, updated after each step and validated in their place; or None
    rows:    the metrics of every step so far, see `fit`; so the next step is number len(rows)
    best:    Params, those validated after the epoch with the lowest validation loss; at first
             those of the start
    seconds: how long all these steps took
    """

    lasting = ("weights", "best_weights", "rows", "seconds", "optimizer", "ema")

    def __init__(self, params, optimizer, ema=None):
        self.params, self.optimizer, self.ema = params, optimizer, ema
        self.validated = ema.params if ema else params
        self.best = self.validated.astype(params.flat.dtype)  # a copy
        self.weights, self.best_weights = self.params.flat, self.best.flat
        self.rows, self.seconds = [], 0.0

    @property
    def at_epoch_end(self):
        """Whether the last step was an epoch's last, after which the model was validated."""
        return bool(self.rows) and self.rows[-1]["validation_loss"] is not None

    def epochs_since_best(self):
        """How many epochs ago the validation loss was lowest; 0 before the first has ended."""
        losses = [row["validation_loss"] for row in self.rows]
        losses = [loss for loss in losses if loss is not None]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0
