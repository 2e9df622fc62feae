import numpy as np
import pytest

from minivit.checks.numeric import random_params
from minivit.layers import Attention, CrossAttention
from tests.numeric import both_ways, relative_error

RNG = np.random.default_rng
LENGTHS = np.array([4, 2])


def case(seed=0):
    rng, layer = RNG(seed), CrossAttention(12, 3)
    x, memory, dy = (rng.standard_normal(shape) for shape in [(2, 5, 12), (2, 4, 12), (2, 5, 12)])
    return layer, random_params(layer, rng), x, memory, dy


def passes(layer, params, x, memory, dy, lengths=None):
    """(y, dx, dmemory, grads)"""
    grads = params.zeros_like()
    y, cache = layer.forward(params, x, memory, lengths)
    return y, *layer.backward(params, dy, cache, grads), grads


def test_looking_at_itself_it_is_attention_and_the_two_gradients_add_up():
    layer, params, x, _, dy = case()
    y, dx, dmemory, _ = passes(layer, params, x, x, dy)
    both = {leaf: np.concatenate([params["q"][leaf], params["kv"][leaf]], axis=-1) for leaf in "wb"}
    nest = {"qkv": both, "proj": params["proj"]}
    expected, cache = Attention(12, 3).forward(nest, x)
    grads = {name: {leaf: np.zeros_like(a) for leaf, a in of.items()} for name, of in nest.items()}
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    whole = Attention(12, 3).backward(nest, dy, cache, grads)
    np.testing.assert_allclose(dx + dmemory, whole, rtol=1e-10, atol=1e-13)


@both_ways
def test_both_gradients_equal_numeric_ones_with_lengths(differentiate, dtype, limit):
    layer, params, x, memory, dy = case()
    _, dx, dmemory, grads = passes(layer, params, x, memory, dy, LENGTHS)
    params, x, memory = params.astype(dtype), x.astype(dtype), memory.astype(dtype)
    arrays = [("x", x), ("memory", memory), *params.named()]
    written = {"x": dx, "memory": dmemory, **dict(grads.named())}
    for name, array in arrays:
        slopes = differentiate(
            lambda: (layer.forward(params, x, memory, LENGTHS)[0] * dy).sum(), array
        )
        assert relative_error(written[name], slopes) <= limit, name


def test_lengths_equal_pytorch():
    torch = pytest.importorskip("torch")
    from tests import torch_reference

    layer, params, x, memory, dy = case()
    y, dx, dmemory, grads = passes(layer, params, x, memory, dy, LENGTHS)
    nest = torch_reference.tensors(params.nest)
    inputs = [torch.tensor(each, requires_grad=True) for each in (x, memory)]
    padding = torch.arange(4) >= torch.tensor(LENGTHS)[:, None]
    twin = torch_reference.cross_attention(nest, *inputs, 3, key_padding_mask=padding)
    twin.backward(torch.tensor(dy))
    assert relative_error(y, twin.detach().numpy()) <= 1e-10
    assert relative_error(dx, inputs[0].grad.numpy()) <= 1e-10
    assert relative_error(dmemory, inputs[1].grad.numpy()) <= 1e-10
    for name, gradient in torch_reference.gradients(nest).items():
        assert relative_error(dict(grads.named())[name], gradient) <= 1e-10, name


def test_padding_of_the_memory_never_matters_forward_or_backward():
    layer, params, x, memory, dy = case()
    y, dx, dmemory, grads = passes(layer, params, x, memory, dy, LENGTHS)
    other = memory.copy()
    other[1, 2:] = RNG(1).standard_normal((2, 12))
    again = passes(layer, params, x, other, dy, LENGTHS)
    for one, two in zip((y, dx, dmemory, grads.flat), (*again[:3], again[3].flat), strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-12, atol=1e-14)
    assert not dmemory[1, 2:].any() and dmemory[1, :2].all() and dmemory[0].all()


def test_every_token_hears_of_every_token_of_the_memory_and_of_no_other_token():
    layer, params, x, memory, _ = case()
    y, _ = layer.forward(params, x, memory)
    for s in range(4):
        changed = memory.copy()
        changed[:, s] += 1
        again, _ = layer.forward(params, x, changed)
        assert (abs(again - y).max(axis=-1) > 1e-9).all()
    changed = x.copy()
    changed[:, 0] += 1
    again, _ = layer.forward(params, changed, memory)
    np.testing.assert_array_equal(again[:, 1:], y[:, 1:])


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_one_token_at_a_time_gives_what_the_full_pass_gives(lengths):
    layer, params, x, memory, _ = case()
    y, _ = layer.forward(params, x, memory, lengths)
    kept = layer.keys_and_values(params, memory, lengths)
    for t in range(5):
        one = layer.step(params, x[:, t : t + 1], kept)
        np.testing.assert_allclose(one, y[:, t : t + 1], rtol=1e-11)


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_dtypes_are_kept(dtype):
    layer, *arrays = case()
    y, dx, dmemory, grads = passes(layer, *(each.astype(dtype) for each in arrays), LENGTHS)
    assert {y.dtype, dx.dtype, dmemory.dtype, grads.flat.dtype} == {np.dtype(dtype)}
    nest = layer.init(RNG(0), np.dtype(dtype))
    assert nest["kv"]["w"].shape == (12, 24) and nest["q"]["w"].dtype == dtype


@pytest.mark.parametrize(
    "x, memory, lengths, message",
    [
        ((2, 5, 11), (2, 4, 12), None, r"expected shape \(B, T, 12\), got \(2, 5, 11\)"),
        ((2, 5, 12), (2, 4, 11), None, r"memory: expected shape \(2, S, 12\), got \(2, 4, 11\)"),
        ((2, 5, 12), (3, 4, 12), None, r"memory: expected shape \(2, S, 12\), got \(3, 4, 12\)"),
        ((2, 5, 12), (2, 4, 12), [5, 1], "lengths must be of the 4 tokens, 1 to 4, got 5"),
        ((2, 5, 12), (2, 4, 12), [0, 1], "1 to 4, got 0"),
    ],
)
def test_refuses_what_does_not_fit(x, memory, lengths, message):
    layer, params, *_ = case()
    with pytest.raises(ValueError, match=message):
        layer.forward(params, np.zeros(x), np.zeros(memory), lengths)


def test_refuses_heads_more_tokens_than_one_and_a_memory_of_another_shape():
    layer, params, x, memory, _ = case()
    with pytest.raises(ValueError, match="CrossAttention: dim 9 is not divisible by heads 2"):
        CrossAttention(9, 2)
    with pytest.raises(ValueError, match=r"step: expected shape \(B, 1, 12\), got \(2, 5, 12\)"):
        layer.step(params, x, layer.keys_and_values(params, memory))
    with pytest.raises(ValueError, match=r"memory: expected shape \(B, S, 12\)"):
        layer.keys_and_values(params, memory[0])
