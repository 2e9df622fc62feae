import numpy as np
import pytest

from minivit.checks.numeric import random_params
from minivit.layers import CausalBlock, PostNormDecoderBlock, PreNormDecoderBlock
from tests.numeric import analytic, both_ways, relative_error

RNG = np.random.default_rng
LENGTHS, OF_MEMORY = np.array([5, 3]), np.array([4, 2])
both_norms = pytest.mark.parametrize("kind", [PreNormDecoderBlock, PostNormDecoderBlock])


def case(kind, **options):
    rng, layer = RNG(0), kind(12, 3, 7, **options)
    x, memory, dy = (rng.standard_normal(shape) for shape in [(2, 5, 12), (2, 4, 12), (2, 5, 12)])
    return layer, random_params(layer, rng), x, memory, dy


def passes(layer, params, x, memory, dy, **given):
    grads = params.zeros_like()
    y, cache = layer.forward(params, x, memory, **given)
    return y, *layer.backward(params, dy, cache, grads), grads


@both_norms
def test_equals_pytorchs_decoder_layer(kind):
    torch = pytest.importorskip("torch")
    layer, params, x, memory, dy = case(kind)
    y, dx, dmemory, grads = passes(
        layer, params, x, memory, dy, lengths=LENGTHS, memory_lengths=OF_MEMORY
    )
    twin = torch.nn.TransformerDecoderLayer(
        12, 3, 7, dropout=0, activation=lambda z: torch.nn.functional.gelu(z, approximate="tanh"),
        layer_norm_eps=1e-6, batch_first=True, norm_first=kind is PreNormDecoderBlock,
        dtype=torch.float64,
    )  # fmt: skip
    twin.load_state_dict({name: torch.tensor(a) for name, a in pytorchs_names(params).items()})
    inputs = [torch.tensor(each, requires_grad=True) for each in (x, memory)]
    padding = [
        torch.arange(size) >= torch.tensor(lengths)[:, None]
        for size, lengths in ((5, LENGTHS), (4, OF_MEMORY))
    ]
    expected = twin(
        *inputs,
        tgt_mask=torch.ones(5, 5, dtype=torch.bool).triu(1),
        tgt_key_padding_mask=padding[0],
        memory_key_padding_mask=padding[1],
    )
    expected.backward(torch.tensor(dy))
    assert relative_error(y, expected.detach().numpy()) <= 1e-10
    assert relative_error(dx, inputs[0].grad.numpy()) <= 1e-10
    assert relative_error(dmemory, inputs[1].grad.numpy()) <= 1e-10
    theirs = dict(twin.named_parameters())
    for name, gradient in pytorchs_names(grads).items():
        assert relative_error(gradient, theirs[name].grad.numpy()) <= 1e-10, name


def pytorchs_names(params):
    """{name in nn.TransformerDecoderLayer: array} of the parameters or their gradients."""
    cross = {
        leaf: np.concatenate([params["cross"]["q"][leaf], params["cross"]["kv"][leaf]], axis=-1)
        for leaf in "wb"
    }
    places = {
        "self_attn.in_proj_": params["attn"]["qkv"], "self_attn.out_proj.": params["attn"]["proj"],
        "multihead_attn.in_proj_": cross, "multihead_attn.out_proj.": params["cross"]["proj"],
        "linear1.": params["mlp"]["fc1"], "linear2.": params["mlp"]["fc2"],
        "norm1.": params["ln1"], "norm2.": params["ln2"], "norm3.": params["ln3"],
    }  # fmt: skip
    weights = {f"{place}weight": leaf["w"].T for place, leaf in places.items()}
    return weights | {f"{place}bias": leaf["b"] for place, leaf in places.items()}


@both_norms
@both_ways
def test_both_gradients_equal_numeric_ones_in_training(kind, differentiate, dtype, limit):
    layer, params, x, memory, dy = case(kind, dropout=0.3, rotary=True)
    given = dict(lengths=LENGTHS, memory_lengths=OF_MEMORY)
    _, dx, dmemory, grads = passes(layer, params, x, memory, dy, **given, rng=RNG(3))
    params, x, memory = params.astype(dtype), x.astype(dtype), memory.astype(dtype)
    written = {"x": dx, "memory": dmemory, "cross.kv.b": dict(grads.named())["cross.kv.b"]}
    arrays = {"x": x, "memory": memory, "cross.kv.b": params["cross"]["kv"]["b"]}
    for name, array in arrays.items():
        slopes = differentiate(
            lambda: (layer.forward(params, x, memory, **given, rng=RNG(3))[0] * dy).sum(), array
        )
        assert relative_error(written[name], slopes) <= limit, name


@both_norms
def test_later_tokens_and_padding_never_matter(kind):
    layer, params, x, memory, dy = case(kind)
    given = dict(lengths=LENGTHS, memory_lengths=OF_MEMORY)
    dy[1, 3:] = 0
    y, dx, dmemory, _ = passes(layer, params, x, memory, dy, **given)
    other, other_memory = x.copy(), memory.copy()
    other[1, 3:], other_memory[1, 2:] = 7, -5
    again, dagain, dmemory_again, _ = passes(layer, params, other, other_memory, dy, **given)
    np.testing.assert_array_equal(again[1, :3], y[1, :3])
    np.testing.assert_allclose(dagain, dx, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(dmemory_again, dmemory, rtol=1e-10, atol=1e-13)
    assert not dx[1, 3:].any() and not dmemory[1, 2:].any()
    changed = x.copy()
    changed[:, 3:] += 1
    again, _ = layer.forward(params, changed, memory)
    np.testing.assert_array_equal(again[:, :3], layer.forward(params, x, memory)[0][:, :3])


@both_norms
@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("lengths", [None, OF_MEMORY])
def test_one_token_at_a_time_gives_what_the_full_pass_gives(kind, rotary, lengths):
    layer, params, x, memory, _ = case(kind, rotary=rotary)
    y, _ = layer.forward(params, x, memory, memory_lengths=lengths)
    past = layer.begin(params, memory, lengths)
    for t in range(5):
        one, past = layer.step(params, x[:, t : t + 1], past)
        np.testing.assert_allclose(one, y[:, t : t + 1], rtol=1e-10)


def test_the_past_can_be_put_in_another_order_as_beam_search_does():
    layer, params, x, memory, _ = case(PreNormDecoderBlock)
    past = layer.begin(params, memory, OF_MEMORY)
    _, past = layer.step(params, x[:, :1], past)
    expected, _ = layer.step(params, x[:, 1:2], past)
    turned = {
        name: {key: array[::-1] for key, array in part.items()} for name, part in past.items()
    }
    one, _ = layer.step(params, x[::-1, 1:2], turned)
    np.testing.assert_allclose(one, expected[::-1], rtol=1e-12)


@pytest.mark.parametrize("rotary", [False, True])
def test_a_causal_block_sees_nothing_later_and_goes_one_token_at_a_time(rotary):
    layer = CausalBlock(12, 3, 7, rotary=rotary)
    params, x, past = random_params(layer, RNG(0)), RNG(1).standard_normal((2, 5, 12)), None
    y, gradients = analytic(layer, params, x, np.eye(5)[1][:, None] * RNG(2).random((2, 1, 12)))
    assert not gradients["x"][:, 2:].any() and gradients["x"][:, :2].all()
    for t in range(5):
        one, past = layer.step(params, x[:, t : t + 1], past)
        np.testing.assert_allclose(one, y[:, t : t + 1], rtol=1e-10)


@both_norms
def test_without_dropout_or_rng_nothing_is_drawn(kind):
    layer, params, x, memory, _ = case(kind, dropout=0.5)
    y, _ = layer.forward(params, x, memory)
    np.testing.assert_array_equal(layer.forward(params, x, memory)[0], y)
    dropped, _ = layer.forward(params, x, memory, rng=RNG(0))
    assert (dropped != y).any()


@both_norms
def test_refuses_what_its_parts_refuse(kind):
    layer, params, x, memory, _ = case(kind)
    with pytest.raises(ValueError, match="MaskedAttention: lengths must be of the 5 tokens"):
        layer.forward(params, x, memory, lengths=[6, 1])
    with pytest.raises(ValueError, match="CrossAttention: lengths must be of the 4 tokens"):
        layer.forward(params, x, memory, memory_lengths=[5, 1])
    with pytest.raises(ValueError, match="width 3 of a head must be even"):
        kind(12, 4, 7, rotary=True)
