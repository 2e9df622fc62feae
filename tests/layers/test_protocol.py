"""What holds for every layer: right gradients, no state, nothing overwritten, dtypes kept."""

import copy

import numpy as np
import pytest

import minivit
from minivit.checks.numeric import random_params
from minivit.layers import Convolution, Patches
from tests.layers.cases import CASES
from tests.numeric import analytic, backward, both_ways, forward, relative_error

every_layer = pytest.mark.parametrize("name", CASES)


def setup(name, seed=0):
    """A layer with random parameters, x and dy, in float64."""
    rng = np.random.default_rng([seed, *name.encode()])
    layer, shape, _ = CASES[name]
    params = random_params(layer, rng)
    x = rng.standard_normal(shape)
    y, _ = forward(layer, params, x)
    return layer, params, x, rng.standard_normal(y.shape)


@both_ways
@every_layer
def test_gradients_equal_numeric_ones(name, differentiate, dtype, limit, device):
    if name == "gelu_exact" and device == "cuda" and dtype is complex:
        pytest.skip("CuPy has no complex ndtr")
    layer, params, x, dy = setup(name, seed=1)
    _, gradients = analytic(layer, params, x, dy)
    params, x = params.astype(dtype), x.astype(dtype)

    def loss():
        return (forward(layer, params, x)[0] * dy).sum()

    for leaf_name, array in [("x", x), *params.named()]:
        numeric = differentiate(loss, array)
        assert relative_error(gradients[leaf_name], numeric) <= limit, leaf_name


@every_layer
def test_output_and_gradients_equal_pytorch(name):
    torch = pytest.importorskip("torch")
    from tests import torch_reference

    layer, params, x, dy = setup(name, seed=2)
    y, gradients = analytic(layer, params, x, dy)
    twin_params, twin_x = torch_reference.tensors(params.nest), torch.tensor(x, requires_grad=True)
    twin_y = CASES[name].twin(torch_reference, twin_params, twin_x)
    twin_y.backward(torch.tensor(dy))
    assert relative_error(y, twin_y.detach().numpy()) <= 1e-10
    expected = {"x": twin_x.grad.numpy(), **torch_reference.gradients(twin_params)}
    assert gradients.keys() == expected.keys()
    for leaf_name, gradient in expected.items():
        assert relative_error(gradients[leaf_name], gradient) <= 1e-10, leaf_name


@every_layer
def test_every_backend_gives_what_numpy_gives(name, device, monkeypatch):
    layer, params, x, dy = setup(name, seed=4)
    there = analytic(layer, params, x, dy)
    monkeypatch.undo()  # from here on the layer computes where its arrays are
    y, gradients = analytic(layer, params, x, dy)
    assert relative_error(there[0], y) <= 1e-12
    for leaf_name, gradient in gradients.items():
        assert relative_error(there[1][leaf_name], gradient) <= 1e-12, leaf_name


@every_layer
def test_gradients_are_added_to(name):
    layer, params, x, dy = setup(name)
    _, once = analytic(layer, params, x, dy)
    grads = params.zeros_like()
    before = np.random.default_rng(3).standard_normal(grads.flat.shape)
    grads.flat[...] = before
    _, cache = forward(layer, params, x)
    backward(layer, params, dy, cache, grads)
    added = params.zeros_like()
    added.flat[...] = grads.flat - before
    for leaf_name, gradient in added.named():
        np.testing.assert_allclose(gradient, once[leaf_name], rtol=1e-9, atol=1e-12)


@every_layer
def test_nothing_that_was_handed_in_is_changed(name):
    layer, params, x, dy = setup(name)
    for array in (x, dy, params.flat, *(leaf for _, leaf in params.named())):
        array.flags.writeable = False
    grads = params.zeros_like()
    _, cache = forward(layer, params, x)
    kept = copy.deepcopy(cache)
    dx = backward(layer, params, dy, cache, grads)
    again = backward(layer, params, dy, cache, params.zeros_like())
    np.testing.assert_equal(cache, kept)
    np.testing.assert_array_equal(dx, again)
    if name != "identity":  # whose dx is dy
        dx += 1  # a fresh array: writing to it reaches neither dy nor the cache
        np.testing.assert_equal(cache, kept)
        assert not np.shares_memory(dx, dy)


@every_layer
def test_layers_hold_no_state(name):
    layer, params, x, dy = setup(name)
    before = copy.deepcopy(attributes(layer))
    _, alone = analytic(layer, params, x, dy)
    _, cache = forward(layer, params, x)
    forward(layer, params, x[::-1] + 1)  # another pass in between
    grads = params.zeros_like()
    dx = backward(layer, params, dy, cache, grads)
    np.testing.assert_array_equal(dx, alone["x"])
    for leaf_name, gradient in grads.named():
        np.testing.assert_array_equal(gradient, alone[leaf_name])
    assert attributes(layer) == before


def attributes(layer):
    """All that a layer and its sub-layers hold; fails on an array."""
    held = {}
    for key, value in vars(layer).items():
        if isinstance(value, list):  # of sub-layers
            value = {number: attributes(part) for number, part in enumerate(value)}
        held[key] = attributes(value) if hasattr(value, "forward") else value
        assert isinstance(held[key], (int, float, dict)), f"{key} = {value!r} is no size"
    return held


@every_layer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_are_kept(name, dtype):
    layer, params, x, dy = setup(name)
    params = params.astype(dtype)
    y, gradients = analytic(layer, params, x.astype(dtype), dy.astype(dtype))
    assert (y.dtype, gradients["x"].dtype) == (np.dtype(dtype), np.dtype(dtype))
    if hasattr(layer, "init"):
        nest = layer.init(np.random.default_rng(0), np.dtype(dtype))
        assert all(leaf.dtype == dtype for _, leaf in minivit.Params(nest).named())


@every_layer
def test_cache_nests_like_the_layers(name):
    layer, params, x, _ = setup(name)
    _, cache = forward(layer, params, x)

    def nested(nest):
        return {key: nested(value) for key, value in nest.items() if isinstance(value, dict)}

    def layers(layer):
        if isinstance(layer, (Convolution, Patches)):  # linear maps by other names
            layer = layer.linear
        return {key: layers(part) for key, part in vars(layer).items() if hasattr(part, "forward")}

    assert nested(cache) == layers(layer)


@every_layer
def test_a_batch_is_independent_images(name):
    layer, params, x, dy = setup(name)
    y, gradients = analytic(layer, params, x, dy)
    for i in range(len(x)):
        y_alone, alone = analytic(layer, params, x[i : i + 1], dy[i : i + 1])
        np.testing.assert_allclose(y_alone[0], y[i], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(alone["x"][0], gradients["x"][i], rtol=1e-12, atol=1e-14)
