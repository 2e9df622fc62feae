"""Other people's code in minivit's layer protocol: what adapters/ makes and gradcheck takes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..params import Params


class Names(NamedTuple):
    """What the source calls a layer's input, the gradient that it receives and its output."""

    x: str = "x"
    dy: str = "dy"
    y: str = "y"


@dataclass
class Adapted:
    """A layer that stands for somebody's code, with the arrays to check it at.

    forward, backward: as in the protocol
    params: the arrays whose gradients are checked, but for x, by their names in the code
    passes: the two functions whose local variables name what happens inside
    numbers, shapes: {name: number}, by which a factor may be told
    notes: what was found, and how
    loss: as gradcheck's, for code that has a scalar value and takes no upstream gradient
    inside: (params, x) -> [(name, Adapted)], the layers inside at what a pass gives them
    analytic: whether forward takes complex numbers; without, it refuses them
    """

    forward: Callable
    backward: Callable
    params: Params
    x: np.ndarray
    names: Names = field(default_factory=Names)
    passes: tuple = ()
    numbers: dict[str, float] = field(default_factory=dict)
    shapes: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    loss: Callable | None = None
    inside: Callable = lambda params, x: []
    analytic: bool = True

    def init(self, rng: Any, dtype: Any) -> Any:
        """The nest of the parameters, as in the protocol."""
        return self.params.nest


def shapes_of(arrays):
    """{"x.shape[0]": number} of {name: array}; axes of length one are left out."""
    return {
        f"{name}.shape[{axis}]": size
        for name, array in arrays.items()
        for axis, size in enumerate(array.shape)
        if size > 1
    }


def value_itself(y):
    """The loss of code that gives one: (y, 1)."""
    return y.sum(), np.ones(y.shape)


def names_of(layer):
    return layer.names if isinstance(layer, Adapted) else Names()
