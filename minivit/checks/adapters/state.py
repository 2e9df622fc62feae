"""What a pass may leave behind it, put back: attributes, arrays, and where random numbers are."""

import contextlib
import copy
import random
import sys

import numpy as np

from .nests import is_object, parts_of


class State:
    """All that an object holds, as it was when this was made; `restore` puts it back."""

    def __init__(self, root):
        self.containers, self.arrays, self.generators = [], [], []
        self._collect(root, {})

    def _collect(self, value, seen):
        if id(value) in seen:
            return
        seen[id(value)] = value
        if isinstance(value, np.ndarray):
            self.arrays.append((value, value.copy()))
        elif isinstance(value, (np.random.Generator, np.random.RandomState)):
            self.generators.append((value, _position(value)))
        elif isinstance(value, (dict, list)):
            self.containers.append((value, copy.copy(value)))
        elif is_object(value):
            self.containers.append((vars(value), dict(vars(value))))
        for _, part in parts_of(value):
            self._collect(part, seen)

    def restore(self):
        """Put everything back as it was."""
        for container, before in self.containers:
            container.clear()
            (container.update if isinstance(container, dict) else container.extend)(before)
        for array, before in self.arrays:
            if array.flags.writeable:
                array[...] = before
        for generator, position in self.generators:
            _set_position(generator, position)


def _position(generator):
    if isinstance(generator, np.random.RandomState):
        return generator.get_state()
    return copy.deepcopy(generator.bit_generator.state)


def _set_position(generator, position):
    if isinstance(generator, np.random.RandomState):
        generator.set_state(position)
    else:
        generator.bit_generator.state = copy.deepcopy(position)


@contextlib.contextmanager
def global_randomness_kept():
    """While this lasts, the global generators may be seeded; afterwards they go on as before."""
    before = np.random.get_state(), random.getstate()
    torch = sys.modules.get("torch")
    of_torch = torch and torch.get_rng_state()
    try:
        yield
    finally:
        np.random.set_state(before[0])
        random.setstate(before[1])
        if torch:
            torch.set_rng_state(of_torch)


def drawing(function, seed):
    """(what a function returns, whether it drew from a global generator), after seeding them."""
    np.random.seed(seed)
    random.seed(seed)
    torch = sys.modules.get("torch")
    if torch:
        torch.manual_seed(seed)
    before = _positions(torch)
    result = function()
    return result, _positions(torch) != before


def _positions(torch):
    _, key, place, *_ = np.random.get_state()
    of_torch = torch.get_rng_state().numpy().tobytes() if torch else None
    return key.tobytes(), place, random.getstate(), of_torch


def copied(value):
    """A deep copy, or the value itself if it cannot be copied."""
    try:
        return copy.deepcopy(value)
    except Exception:  # a lock, a file, a module: whatever is in there is not an array
        return value
