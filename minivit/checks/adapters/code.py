"""Somebody's forward and backward: run on arrays of ours, and their gradients read."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..adapted import shapes_of
from .calls import bound
from .matching import gradients_in
from .nests import Leaf, get, is_float, leaves, put
from .source import argument_names
from .state import State, copied, drawing


class Held(NamedTuple):
    """A parameter that an object keeps on itself."""

    name: str
    paths: list  # of all the places where the object has it
    gradient: tuple | None  # the path of its gradient; None if backward returns that
    value: np.ndarray


class Result(NamedTuple):
    """What a forward was given and what it returned."""

    arguments: list
    outputs: list


@dataclasses.dataclass
class Code:
    """Two functions, what they are called with, and the object that holds their state, if any.

    leaves: the arrays (and numbers) among the arguments, and those that the owner holds
    """

    forward: Callable
    backward: Callable
    arguments: tuple
    seed: int
    owner: Any = None
    held: tuple = ()
    notes: list = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self.names = argument_names(self.forward, len(self.arguments))
        self.state = None if self.owner is None else State(self.owner)
        of_arguments = [leaf for i in range(len(self.names)) for leaf in self._leaves_of(i)]
        of_owner = [Leaf(held.name, held, held.value) for held in self.held]
        self.leaves = _renamed([*of_arguments, *of_owner])
        self.count = len(of_arguments)

    def _leaves_of(self, place):
        argument, path = self.arguments[place], (("[", place),)
        if isinstance(argument, (float, np.floating)):
            yield Leaf(self.names[place], path, float(argument))
        yield from leaves(argument, path, self.names[place])

    def run(self, arrays, fill=0.0):
        """Run forward with {place of a leaf: array} in the place of what is there; a Result.

        fill: what the owner's gradients hold before backward
        """
        if self.state:
            self.state.restore()
        arguments = [copied(argument) for argument in self.arguments]
        for place, array in arrays.items():
            leaf = self.leaves[place]
            if isinstance(leaf.path, Held):
                for path in leaf.path.paths:
                    put(self.owner, path, array)
            else:
                put(arguments, leaf.path, array if is_float(leaf.value) else array[()])
        self._fill_gradients(fill)
        before = [copied(each) if isinstance(each, dict) else each for each in arguments]
        returned, drew = drawing(lambda: self.forward(*arguments), self.seed)
        if drew:
            self.note("forward draws random numbers: np.random is seeded before each pass")
        for name, old, new in zip(self.names, before, arguments, strict=True):
            if isinstance(new, dict) and not _equal(old, new):
                self.note(f"forward changes {name} in place: each pass gets a copy of it")
        outputs = list(returned) if isinstance(returned, (tuple, list)) else [returned]
        return Result(arguments, outputs)

    def _fill_gradients(self, fill):
        for held in self.held:
            if held.gradient and is_float(_got(self.owner, held.gradient)):
                put(self.owner, held.gradient, np.full(held.value.shape, fill))

    def gradients(self, call, dys, result):
        """What backward returns, [(name, array or None)], and what it leaves, {place: array}."""
        returned = self._joined(gradients_in(self.backward(*bound(call, dys, *result))))
        left = {
            self.count + i: _got(self.owner, held.gradient)
            for i, held in enumerate(self.held)
            if held.gradient
        }
        return returned, left

    def _joined(self, gradients):
        """Numbers that are together the gradient of a vector as one array."""
        shapes = {np.shape(leaf.value) for leaf in self.leaves}
        numbers = [array for name, array in gradients if name is None and np.ndim(array) == 0]
        if 1 < len(numbers) == len(gradients) and (len(numbers),) in shapes and () not in shapes:
            return [(None, np.array(numbers))]
        return gradients

    def here(self):
        """{place: array} of the arrays as they were given, in float64."""
        return {
            place: np.array(leaf.value, np.float64)
            for place, leaf in enumerate(self.leaves)
            if is_float(leaf.value)
        }

    def kept(self):
        """{name: array} of what the owner has kept of a pass."""
        return {key: np.array(part) for key, part in vars(self.owner).items() if is_float(part)}

    def numbers(self):
        """{name: number} of the arguments, of options in dicts, and of the owner's attributes."""
        several = dict(zip(self.names, self.arguments, strict=True))
        for options in (*self.arguments, vars(self.owner) if self.owner is not None else {}):
            several |= options if isinstance(options, dict) else {}
        return {
            str(name): float(value)
            for name, value in several.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        }

    def shapes(self):
        """{"x.shape[0]": number} of the arrays among the arguments."""
        return shapes_of(arrays_among(self.names, self.arguments))

    def note(self, text):
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)


def arrays_among(names, arguments):
    """{name: array} of the arguments that are arrays."""
    several = zip(names, arguments, strict=True)
    return {name: each for name, each in several if isinstance(each, np.ndarray)}


def _got(root, path):
    try:
        return get(root, path)
    except (AttributeError, KeyError, IndexError, TypeError):
        return None


def _renamed(several):
    """Leaves by the last part of their names, where that is enough to tell them apart."""
    shorts = [leaf.name.rpartition(".")[2] for leaf in several]
    return [
        leaf._replace(name=short) if shorts.count(short) == 1 and not short.isdigit() else leaf
        for leaf, short in zip(several, shorts, strict=True)
    ]


def _equal(a, b):
    """Whether two nests hold the same numbers."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_equal, a, b))
    return not isinstance(a, (np.ndarray, float, int)) or bool(np.array_equal(a, b))
