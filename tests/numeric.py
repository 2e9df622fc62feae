"""Numerical gradients, written apart from those of `minivit.checks`, which they help to check."""

import numpy as np
import pytest

import minivit


def forward(layer, params, x, **given):
    """The forward of a layer with parameters or without."""
    return layer.forward(*([params] if hasattr(layer, "init") else []), x, **given)


def backward(layer, params, dy, cache, grads):
    """Its backward."""
    if hasattr(layer, "init"):
        return layer.backward(params, dy, cache, grads)
    return layer.backward(dy, cache)


def analytic(layer, params, x, dy):
    """The hand-written gradients of sum(y · dy): (y, {"x": dx, name: gradient, …})."""
    grads = params.zeros_like()
    y, cache = forward(layer, params, x)
    dx = backward(layer, params, dy, cache, grads)
    return y, {"x": dx, **dict(grads.named())}


def passes(model, params, images, labels, smoothing=0.0):
    """A model with its loss, forward and backward: (loss, logits, {"images": dimages, name: …})."""
    grads = params.zeros_like()
    logits, cache = model.forward(params, images)
    loss, dlogits = minivit.cross_entropy(logits, labels, smoothing=smoothing)
    dimages = model.backward(params, dlogits, cache, grads)
    return loss, logits, {"images": dimages, **dict(grads.named())}


def central_differences(loss, array, step=1e-5):
    """(loss(array + step) − loss(array − step)) / 2 step for every entry; `loss` reads `array`."""
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        value = array[index]
        array[index] = value + step
        above = loss()
        array[index] = value - step
        below = loss()
        array[index] = value
        gradient[index] = (above - below) / (2 * step)
    return gradient


def complex_step(loss, array, step=1e-30):
    """Im loss(array + i·step) / step for every entry, exact to rounding; `array` is complex."""
    gradient = np.empty(array.shape)
    for index in np.ndindex(array.shape):
        array[index] += 1j * step
        gradient[index] = loss().imag / step
        array[index] = array[index].real
    return gradient


both_ways = pytest.mark.parametrize(
    "differentiate, dtype, limit",
    [(central_differences, float, 1e-7), (complex_step, complex, 1e-12)],
)


def relative_error(got, expected):
    """Largest difference, relative to the largest expected number."""
    assert got.shape == expected.shape
    scale = np.abs(expected).max()
    return np.abs(got - expected).max() / (scale if scale > 0 else 1)


def without_key_bias(name, gradient):
    """The bias of the keys has no effect, so nothing is left to compare."""
    width = gradient.size // 3
    keys = range(width, 2 * width)
    return np.delete(gradient, keys) if name.endswith("qkv.b") else gradient
