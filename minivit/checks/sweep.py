"""How the error of a numerical derivative depends on its step: the V-curve, and what has none."""

import numpy as np

from .numeric import central_difference, complex_step, random_params


def step_sweep(layer, x, steps, *, loss=None, seed=0):
    """Return {"central": errors, "complex": errors}, the relative error at each of the steps.

    What is compared is the slope of the loss along one random direction of the input x; the truth
    is the hand-written gradient, which `gradcheck` holds to 1e-12. `loss` is as in `gradcheck`.
    """
    rng = np.random.default_rng(seed)
    params, x = random_params(layer, rng), np.asarray(x, np.float64)
    direction = rng.standard_normal(x.shape)
    y, cache = layer.forward(params, x)
    dy = loss(y)[1] if loss else rng.standard_normal(y.shape)
    dx = layer.backward(params, dy, cache, params.zeros_like())
    truth = (dx * direction).sum()
    errors = {}
    for name, rule, dtype in [
        ("central", central_difference, np.float64),
        ("complex", complex_step, np.complex128),
    ]:
        place, at = x.astype(dtype), params.astype(dtype)

        def objective(place=place, at=at):
            y, _ = layer.forward(at, place)
            return loss(y)[0] if loss else (y * dy).sum()

        slopes = [rule(objective, place, direction, step) for step in steps]
        errors[name] = np.abs(np.array(slopes) - truth) / abs(truth)
    return errors
