"""Numerical derivatives: the slopes of a layer's loss by three rules, and when two agree."""

import math
import warnings

import numpy as np

from ..params import Params
from .inside import backward_of, forward_of, has_params

EPS = float(np.finfo(np.float64).eps)
ROOM = 100  # for numbers that happened to be rounded less than others
DIRECTIONS = 2  # of each array, in directional mode; an error shows in almost every direction
FITS = 1e-7  # relative; numerical slopes are at least that exact


def random_params(layer, rng):
    """Parameters in float64, all of them random: matrices of std 1/√d_in, everything else too.

    Initial values would hide errors: layer norm's w = 1 and zero biases, head and class token.
    Matrices drawn from N(0, 1) would saturate the softmax.
    """
    params = Params(layer.init(rng, np.float64) if has_params(layer) else {}).astype(np.float64)
    for name, leaf in params.named():
        matrix = name.endswith("w") and leaf.ndim == 2 and leaf.size
        leaf[...] = (leaf.shape[0] ** -0.5 if matrix else 0.5) * rng.standard_normal(leaf.shape)
        if leaf.ndim == 1 and name.endswith("w"):
            leaf += 1  # of a layer norm
    return params


def shaken(array, size, seed=0):
    """A copy in which every number is changed by about `size` times itself."""
    rng = np.random.default_rng(seed)
    return array * (1 + size * rng.standard_normal(array.shape))


def rounding_of(approximate, exact, eps=EPS):
    """How far rounding in float64 may move the numbers of an array.

    approximate: the same as `exact`, but for rounding of the relative size `eps`
    """
    error = np.abs(approximate - exact)
    return ROOM * EPS / eps * float(error.max(initial=0, where=np.isfinite(error)))


class Slopes:
    """Numerical slopes of a layer's loss f along a direction u in an array a: x or a parameter.

    The loss is Σ y · dy, or loss(y)[0] if there is one.
    """

    def __init__(self, forward, params, x, dy, loss):
        self.forward, self.params, self.x, self.dy, self.loss = forward, params, x, dy, loss
        self.copies = {  # the arrays that are moved along a direction and put back
            dtype: (params.astype(dtype), x.astype(dtype)) for dtype in (np.float64, np.complex128)
        }

    def complex(self, name, direction, step=1e-30):
        """Im f(a + i·step·u) / step, exact to rounding.

        f(a + i·h·u) = f(a) + i·h·f'(a) u − …, so the imaginary part holds the slope alone: nothing
        is subtracted, nothing cancels, and h can be as small as one likes (Squire and Trapp 1998).
        It needs an analytic f: no abs, no comparison of values, no cast to real.
        """
        return self._moved(name, 1j * step * direction).imag / step

    def central(self, name, direction, step=1e-5):
        """(f(a + step·u) − f(a − step·u)) / 2 step.

        Its error is about step² (the curvature of f) plus 1e-16 / step (rounding): a V with its
        lowest point near 1e-5, where about ten digits are right.
        """
        above, below = self._moved(name, step * direction), self._moved(name, -step * direction)
        return (above - below) / (2 * step)

    def one_sided(self, name, direction, step):
        """The slopes to the left and to the right, (f(a) − f(a − step·u)) / step and its mirror.

        They differ where f has a kink, and no gradient check means anything there.
        """
        above, below = self._moved(name, step * direction), self._moved(name, -step * direction)
        here = self.value()
        return (here - below) / step, (above - here) / step

    def with_dy(self, dy):
        """The slopes of another loss, Σ y · dy."""
        return Slopes(self.forward, self.params, self.x, dy, None)

    def best_central(self, name, direction, loss_rounding):
        """The central difference at the bottom of the V, and how far it may be off.

        Where the loss is strongly curved, or its slope small, the usual step is not at the bottom.
        There, a difference agrees with those at smaller steps, as far as rounding lets them, and
        with the one at the next larger step.
        """
        size = max(1.0, float(np.abs(self._array(name, np.float64)).max(initial=0)))
        steps = 10.0 ** np.arange(-7, round(math.log10(size)) - 1)  # to 1/100 of the numbers
        slopes = np.array([float(self.central(name, direction, step=step)) for step in steps])
        blurs = loss_rounding / steps
        errors = [
            max(0.0, *(abs(slopes[:i] - slopes[i]) - blurs[:i]))
            + abs(slopes[i + 1] - slopes[i])
            + blurs[i]
            for i in range(1, len(steps) - 1)
        ]
        best = int(np.argmin(errors))
        return slopes[1 + best], errors[best]

    def gradient(self, name):
        """The whole gradient of an array, by the complex step, or else by central differences."""
        array = self._array(name, np.float64)
        directions = [direction for _, direction in directions_of(array, "full", array.size, None)]
        try:
            slopes = [float(self.complex(name, direction)) for direction in directions]
        except (TypeError, np.exceptions.ComplexWarning):
            slopes = [float(self.central(name, direction)) for direction in directions]
        return np.reshape(slopes, array.shape)

    def elsewhere(self):
        """The slopes of the same loss at other parameters, another x and another dy."""
        rng = np.random.default_rng(1)
        params, x, dy = (
            array * rng.uniform(0.5, 1.5, array.shape)
            for array in (self.params.flat, self.x, self.dy)
        )
        params = self.params.of(params)
        if self.loss:
            dy = self.loss(self.forward(params, x)[0])[1]
        return Slopes(self.forward, params, x, dy, self.loss)

    def value(self, dtype=np.float64):
        """The loss itself."""
        params, x = self.copies[dtype]
        y, _ = self.forward(params, x)
        return self.loss(y)[0] if self.loss else (y * self.dy).sum()

    def _moved(self, name, change):
        """The loss where `change` is added to an array."""
        array = self._array(name, change.dtype.type)
        start = array.copy()
        array += change
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            loss = self.value(change.dtype.type)
        array[...] = start
        return loss

    def _array(self, name, dtype):
        params, x = self.copies[dtype]
        return dict(params.named()).get(name, x)


def constant_names(params):
    """The names of arrays whose numbers are all the same, which hides errors."""
    return [name for name, leaf in params.named() if leaf.size > 1 and np.ptp(leaf) == 0]


def why_not_analytic(forward, params, x):
    """Say why slopes by the complex step are not those of central differences, or return None."""
    rng = np.random.default_rng(0)
    y, _ = forward(params, x)
    slopes = Slopes(forward, params, x, rng.standard_normal(y.shape), None)
    for array, name in [(x, "x"), *((leaf, name) for name, leaf in params.named())]:
        if not array.size:
            continue
        ((_, direction), _) = directions_of(array, "directional", 0, rng)
        try:
            exact = float(slopes.complex(name, direction))
        except Exception as error:  # whatever somebody's code does with complex numbers
            return f"{type(error).__name__}: {error}"
        close = float(slopes.central(name, direction))
        if not abs(exact - close) <= 1e-5 * abs(close) + 1e-8:
            return "its real part alone depends on them"
    return None


def directions_of(array, mode, entries, rng):
    """Pairs (index or None, direction): single entries, or random directions of length 1."""
    if mode == "directional":
        for _ in range(DIRECTIONS):
            direction = rng.standard_normal(array.shape)
            yield None, direction / np.linalg.norm(direction)
        return
    places = np.arange(array.size)
    if array.size > entries:
        places = np.sort(rng.choice(places, entries, replace=False))
    for place in places:
        direction = np.zeros(array.shape)
        direction.flat[place] = 1
        yield np.unravel_index(place, array.shape), direction


def fits(a, b):
    """Whether a equals b, to the precision of numerical slopes."""
    scale = np.abs(b).max(initial=0)
    return bool(scale > 0 and np.abs(a - b).max() <= FITS * scale)


def misfits(a, b):
    """Where in the arrays a does not equal b, to that precision: an array of booleans."""
    return np.abs(a - b) > FITS * np.abs(b).max(initial=0)


def step_sweep(layer, x, steps, *, loss=None, seed=0):
    """Return {"central": errors, "complex": errors}, the relative error at each of the steps.

    It compares the slope of the loss along one random direction of the input x with the
    hand-written gradient, which `gradcheck` holds to 1e-12. `loss` is as in `gradcheck`.
    """
    rng = np.random.default_rng([seed, 2])  # as in gradcheck
    params, x = random_params(layer, rng), np.asarray(x, np.float64)
    direction = rng.standard_normal(x.shape)
    forward = forward_of(layer, seed)
    y, cache = forward(params, x)
    dy = loss(y)[1] if loss else rng.standard_normal(y.shape)
    dx = backward_of(layer)(params, dy, cache, params.zeros_like())
    truth = (dx * direction).sum()
    slopes = Slopes(forward, params, x, dy, loss)
    rules = {"central": slopes.central, "complex": slopes.complex}
    return {
        name: np.array([abs(rule("x", direction, h) - truth) for h in steps]) / abs(truth)
        for name, rule in rules.items()
    }
