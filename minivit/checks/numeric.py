"""Numerical derivatives, and random parameters under which a comparison means something."""

import numpy as np

from ..params import Params
from .inside import has_params


def random_params(layer, rng):
    """Parameters in float64, all of them random: matrices of std 1/√d_in, everything else too.

    Initial values would hide errors: layer norm's w = 1 and zero biases, head and class token.
    Matrices drawn from N(0, 1) would saturate the softmax.
    """
    nest = layer.init(rng, np.float64) if has_params(layer) else {}
    params = Params(nest).astype(np.float64)
    for name, leaf in params.named():
        scale = (
            leaf.shape[0] ** -0.5 if name.endswith("w") and leaf.ndim == 2 and leaf.size else 0.5
        )
        leaf[...] = scale * rng.standard_normal(leaf.shape)
        if leaf.ndim == 1 and name.endswith("w"):
            leaf += 1  # of a layer norm
    return params


def central_difference(objective, array, direction, step=1e-5):
    """(f(a + step·u) − f(a − step·u)) / 2 step, the slope along u; `objective()` reads `array`.

    Its error is about step² (the curvature of f) plus 1e-16 / step (rounding): a V with its lowest
    point near 1e-5, where about ten digits are right.
    """
    kept = array.copy()
    array += step * direction
    above = objective()
    array[...] = kept - step * direction
    below = objective()
    array[...] = kept
    return (above - below) / (2 * step)


def complex_step(objective, array, direction, step=1e-30):
    """Im f(a + i·step·u) / step, the slope along u, exact to rounding; `array` is complex.

    f(a + i·h·u) = f(a) + i·h·f'(a) u − …, so the imaginary part holds the slope alone: nothing is
    subtracted, nothing cancels, and h can be as small as one likes (Squire and Trapp 1998). It asks
    for an analytic f: no abs, no comparison of values, no cast to real.
    """
    kept = array.copy()
    array += 1j * step * direction
    slope = objective().imag / step
    array[...] = kept
    return slope


def one_sided(objective, array, direction, step=1e-6):
    """The slopes to the left and to the right, (f(a) − f(a − step·u)) / step and its mirror image.

    They differ where f has a kink, and no gradient check means anything there.
    """
    kept, here = array.copy(), objective()
    array += step * direction
    above = objective()
    array[...] = kept - step * direction
    below = objective()
    array[...] = kept
    return (here - below) / step, (above - here) / step
