"""How the error of a numerical derivative depends on its step: the V-curve, and what has none."""

import numpy as np

from .inside import backward_of
from .numeric import random_params
from .protocol import forward_of
from .slopes import Slopes


def step_sweep(layer, x, steps, *, loss=None, seed=0):
    """Return {"central": errors, "complex": errors}, the relative error at each of the steps.

    What is compared is the slope of the loss along one random direction of the input x; the truth
    is the hand-written gradient, which `gradcheck` holds to 1e-12. `loss` is as in `gradcheck`.
    """
    rng = np.random.default_rng(seed)
    params, x = random_params(layer, rng), np.asarray(x, np.float64)
    direction = rng.standard_normal(x.shape)
    forward = forward_of(layer, seed)
    y, cache = forward(params, x)
    dy = loss(y)[1] if loss else rng.standard_normal(y.shape)
    dx = backward_of(layer)(params, dy, cache, params.zeros_like())
    truth = (dx * direction).sum()
    slopes = Slopes(forward, params, x, dy, loss)
    return {
        method: np.array([abs(slope("x", direction, step=h) - truth) for h in steps]) / abs(truth)
        for method, slope in {"central": slopes.central, "complex": slopes.complex}.items()
    }
