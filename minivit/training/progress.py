"""How far a training run has come."""

from ..optim import Stateful


class Progress(Stateful):
    """Everything that the steps of a training run change; a checkpoint keeps its `state()`.

    classifier: the one in training; its parameters change in place
    optimizer:  its lr is the peak of the schedule
    ema:        an EMA of the parameters, updated after each step and validated in their place; or
                None
    steps:      how many were taken, so also the number of the next one
    seconds:    how long they took
    rows:       their metrics, see `fit`; kept in a file of their own (rows.py), not in the state
    rows_sum:   the SHA-256 sum of that file, in hex; "" before there is a row
    validation_losses: one for each epoch that has ended
    best:       Params, those validated after the epoch with the lowest validation loss; at first
                those of the start
    """

    lasting = (
        "weights", "best_weights", "steps", "seconds", "rows_sum", "validation_losses", "optimizer",
        "ema",
    )  # fmt: skip

    def __init__(self, classifier, optimizer, ema=None):
        self.classifier, self.optimizer, self.ema = classifier, optimizer, ema
        self.params = classifier.params
        self.validated = ema.params if ema else self.params
        self.best = self.validated.astype(self.params.flat.dtype)  # a copy
        self.weights, self.best_weights = self.params.flat, self.best.flat
        self.steps, self.seconds, self.validation_losses = 0, 0.0, []
        self.rows, self.rows_sum = [], ""

    @property
    def at_epoch_end(self):
        """Whether the last step was an epoch's last, after which the model was validated."""
        return bool(self.rows) and self.rows[-1]["validation_loss"] is not None

    def epochs_since_best(self):
        """How many epochs ago the validation loss was lowest; 0 before the first has ended."""
        losses = self.validation_losses
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0

    def best_classifier(self):
        """The classifier with the best parameters."""
        return self.classifier.with_params(self.best)
