"""What all optimizers share."""

from collections.abc import Callable

from ..backend import Array, device_of
from ..params import Params
from .state import Stateful


class Optimizer(Stateful):
    """The parameters, the learning rate `lr` (set it at any time), and the checks of a step.

    A subclass defines `update(p, g)`, which changes the flat vector p in place, given its gradient,
    and names in `lasting` what it keeps between steps (state.py).
    """

    def __init__(self, params: Params, lr: float) -> None:
        self.params, self.lr = params, lr
        self.mapper: Callable = map  # on which an update may do things side by side

    def step(self, grads: Params, mapper: Callable = map) -> None:
        """Change the parameters by one step against `grads` (Params of the same nest; not changed).

        mapper: `map`, or that of `threads`; the result is the same
        Errors: TypeError for anything but Params; ValueError if a leaf of either was replaced and
        so left the flat vector, or if their sizes or devices differ.
        """
        if not isinstance(grads, Params):
            raise TypeError(
                f"step: expected the gradients as Params, which params.zeros_like() makes and "
                f"backward fills, got {type(grads).__name__}"
            )
        self.params.require_views("parameter")
        grads.require_views("gradient")
        if grads.flat.shape != self.params.flat.shape:
            raise ValueError(
                f"{grads.flat.size} gradients for {self.params.flat.size} parameters; "
                "make them with params.zeros_like()"
            )
        if device_of(grads.flat) != device_of(self.params.flat):
            raise ValueError(
                f"gradients are on {device_of(grads.flat)}, the parameters on "
                f"{device_of(self.params.flat)}; make them with params.zeros_like()"
            )
        self.mapper = mapper
        self.update(self.params.flat, grads.flat)

    def update(self, p: Array, g: Array) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no update(p, g)")


def is_matrix(name: str, leaf: Array) -> bool:
    """Whether a parameter is the weight matrix of a linear map: a two-dimensional `w`."""
    return name.rpartition(".")[2] == "w" and leaf.ndim == 2
