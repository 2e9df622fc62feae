"""Slopes of a layer's loss along directions in its arrays, and the directions to try."""

import warnings

import numpy as np

from .numeric import central_difference, complex_step, one_sided

DIRECTIONS = 2  # of each array, in directional mode; an error is in almost every direction


class Slopes:
    """Numerical slopes of the loss: slopes.complex("fc1.w", direction), and so for the others.

    The loss is Σ y · dy, or loss(y)[0] if there is one.
    """

    def __init__(self, forward, params, x, dy, loss):
        self.forward, self.params, self.x, self.dy, self.loss = forward, params, x, dy, loss
        self.copies = {  # what is moved along a direction, and put back
            dtype: (params.astype(dtype), x.astype(dtype)) for dtype in (np.float64, np.complex128)
        }

    def array(self, name, dtype=np.float64):
        """The array of that name, "x" or a parameter, that is moved along directions."""
        params, x = self.copies[dtype]
        return x if name == "x" else dict(params.named())[name]

    def with_dy(self, dy):
        """The slopes of another loss, Σ y · dy."""
        return Slopes(self.forward, self.params, self.x, dy, None)

    def complex(self, name, direction, **step):
        return self._slope(complex_step, np.complex128, name, direction, **step)

    def central(self, name, direction, **step):
        return self._slope(central_difference, np.float64, name, direction, **step)

    def best_central(self, name, direction, analytic, slope):
        """Of central differences at other steps, the one closest to the hand-written slope.

        Where the loss is strongly curved, or its slope small, the usual step is not at the bottom
        of the V. A wrong slope is not met at any step.
        """
        found = [slope]
        for step in (1e-3, 1e-4, 1e-6, 1e-7):
            found.append(float(self.central(name, direction, step=step)))
        return min(found, key=lambda other: abs(other - analytic))

    def one_sided(self, name, direction):
        return self._slope(one_sided, np.float64, name, direction)

    def value(self):
        """The loss, at no distance."""
        return self._loss(*self.copies[np.float64])

    def _loss(self, params, x):
        y, _ = self.forward(params, x)
        return self.loss(y)[0] if self.loss else (y * self.dy).sum()

    def _slope(self, rule, dtype, name, direction, **step):
        params, x = self.copies[dtype]
        array = self.array(name, dtype)

        def objective():
            return self._loss(params, x)

        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            return rule(objective, array, direction, **step)


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
