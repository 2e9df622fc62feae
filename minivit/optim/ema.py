"""The exponential moving average of the parameters, to evaluate in their place."""

from ..params import Params
from .state import Stateful


class EMA(Stateful):
    """Steps jump to and fro across the valley of the loss; their average lies nearer to its floor.

        average ← average + (1 − min(decay, (1 + t) / (10 + t))) (p − average)       t = 1, 2, …

    The idea is that of Polyak and Juditsky 1992, with equal weights; this form is TensorFlow's
    ExponentialMovingAverage with num_updates. The average looks back over about 1 / (1 − decay)
    steps, and over fewer at first, so that it forgets the start.
    """

    lasting = ("t", "average")

    def __init__(self, params: Params, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"EMA: decay must be at least 0 and less than 1, got {decay!r}")
        self.source, self.params = params, params.astype(params.flat.dtype)  # params: the average
        self.average = self.params.flat
        self.decay, self.t = decay, 0

    def update(self) -> None:
        """Take in the parameters as they are after a step of the optimizer."""
        self.t += 1
        decay = min(self.decay, (1 + self.t) / (10 + self.t))
        self.average += (1 - decay) * (self.source.flat - self.average)
