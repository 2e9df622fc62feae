"""Stochastic gradient descent with momentum (Polyak 1964, in the form that PyTorch uses)."""

from ..backend import Array
from ..params import Params
from .optimizer import Optimizer


class SGD(Optimizer):
    """Step downhill, and keep some of the speed of the steps before.

        velocity ← momentum · velocity + g
        p ← p − lr · velocity

    Where the gradient keeps its direction, steps grow up to 1 / (1 − momentum) times as long.
    """

    lasting = ("velocity",)

    def __init__(self, params: Params, lr: float, *, momentum: float = 0.9) -> None:
        super().__init__(params, lr)
        self.momentum = momentum
        self.velocity = params.zeros_like().flat

    def update(self, p: Array, g: Array) -> None:
        self.velocity *= self.momentum
        self.velocity += g
        p -= self.lr * self.velocity
