"""What an answer computes in a few trials, and which of its arrays are right.

The answer's process leaves the arrays; the process that grades computes them with minivit's own
class, whose gradients are proved right, and compares.
"""

import math
from typing import NamedTuple

import numpy as np

from ...checks.inside import backward_of, forward_of
from ...checks.numeric import random_params
from ...params import Params
from .exercise import cases, solved

MANY = 100_000  # numbers of x in the last trial: too many to nudge one by one
DIGITS = {np.float64: 1e-11, np.float32: 1e-4}
STEPS = 8  # of an optimizer


class Trial(NamedTuple):
    """A pass of a layer, forward and back."""

    case: int  # whose layer it is
    params: Params
    x: np.ndarray
    draws: bool  # as in training; else as in evaluation
    first_shape: tuple  # of the x that the exercise shows


def trials(name, seed):
    """Return the Trials of a layer at numbers drawn with the seed.

    For every case: its input, one of more images, one of more tokens. Then the first in evaluation
    and in float32, and last one of very many images.
    """
    drawn, made = [], [case.make() for case in cases(name)]
    rng = np.random.default_rng([seed, 3])
    first = cases(name)[0].shape
    for number, (layer, case) in enumerate(zip(made, cases(name), strict=True)):
        B, second, *rest = case.shape
        for shape in (case.shape, (B + 2, second, *rest), (B, second + 3, *rest)):
            params, x = random_params(layer, rng), rng.normal(size=shape)
            drawn.append(Trial(number, params, x, True, first))
    drawn.append(drawn[0]._replace(draws=False))
    params, x = drawn[0].params.astype(np.float32), drawn[0].x.astype(np.float32)
    drawn.append(Trial(0, params, x, True, first))
    B, *rest = first
    many = rng.normal(size=(math.ceil(MANY * B / math.prod(first)), *rest))
    drawn.append(Trial(0, random_params(made[0], rng), many, True, first))
    return [trial for trial in drawn if _fits(made[trial.case], trial)]


def _fits(layer, trial):
    """Whether the layer takes the input: some take one number of tokens only, or of labels."""
    try:
        forward_of(layer, None)(trial.params, trial.x)
    except (ValueError, IndexError):
        return False
    return True


def fill(arrays, answer, name, seed):
    """Add what an answer, a class, computes in its trials to a dict: {"0.x": dx, …}.

    All are collected before they are copied, so that one pass cannot hand out another's memory.
    """
    if name == "adam":
        return _fill_with_steps(arrays, answer, seed)
    layers = [answer(*case.make.args, **case.make.keywords) for case in cases(name)]
    for number, trial in enumerate(trials(name, seed)):
        rng = np.random.default_rng([seed, 4, number])
        layer, x = layers[trial.case], trial.x.copy()
        forward = forward_of(layer, seed if trial.draws else None)
        y, cache = forward(trial.params, x)
        arrays[f"{number}.y"] = y
        forward(trial.params, x[::-1])  # what backward needs is in the cache, not on self
        dy = rng.normal(size=np.shape(y)).astype(x.dtype)
        before = dy.copy()
        grads = trial.params.zeros_like()  # which are added to
        grads.flat[...] = rng.normal(size=grads.flat.shape)
        dx = backward_of(layer)(trial.params, dy, cache, grads)
        if np.array_equal(dy, before) and np.array_equal(x, trial.x) and isinstance(dx, np.ndarray):
            arrays[f"{number}.x"] = dx
        arrays |= {f"{number}.{key}": leaf for key, leaf in grads.named()}
    return arrays


def _fill_with_steps(arrays, answer, seed):
    for number, dtype in enumerate((np.float64, np.float64, np.float32)):
        rng = np.random.default_rng([seed, 3, number])
        sizes = {"w": (3, 5 + number), "b": 7}
        params = Params({key: rng.normal(size=size).astype(dtype) for key, size in sizes.items()})
        grads = params.zeros_like()
        more = {} if number == 0 else dict(betas=(0.8, 0.99), eps=1e-3)
        optimizer = answer(params, 0.1, **more)
        for step in range(STEPS):
            optimizer.lr = rng.uniform(0.05, 0.2)
            grads.flat[...] = rng.normal(size=grads.flat.shape) * 10.0 ** rng.integers(-3, 3)
            before = grads.flat.copy()
            optimizer.step(grads)
            if step in (0, STEPS - 1) and np.array_equal(grads.flat, before):
                when = "first" if step == 0 else "last"
                arrays[f"{number}.p after the {when} step"] = params.flat.copy()
        arrays |= {f"{number}.{key}": getattr(optimizer, key) for key in ("m", "v")}
    return arrays


def expected(name, seed):
    """The right arrays of all trials."""
    arrays = {}
    if name == "adam":
        return fill(arrays, solved(name), name, seed)
    kind = cases(name)[0].make.func  # the engine's own, if it has one
    return fill(arrays, kind, name, seed)


def compared(arrays, right):
    """Which arrays are right: {"y": bool, "x": bool, …}, in all trials."""
    verdicts = {}
    for key, array in right.items():
        name = key.partition(".")[2]
        here = key in arrays and equal(arrays[key], array)
        verdicts[name] = verdicts.get(name, True) and here
    return verdicts


def equal(answer, array):
    """Whether an array of an answer is right, but for rounding, its dtype included."""
    if np.shape(answer) != array.shape or answer.dtype != array.dtype:
        return False
    digits = DIGITS[array.dtype.type]
    size = np.abs(array).max(initial=0)
    return bool(np.all(np.abs(answer - array) <= digits * size))  # NaN is not
