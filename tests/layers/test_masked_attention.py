import numpy as np
import pytest

from minivit.checks.cases import PADDED
from minivit.checks.numeric import random_params
from minivit.layers import Attention, MaskedAttention
from tests.numeric import analytic, both_ways, relative_error

RNG = np.random.default_rng
LENGTHS = np.array([7, 3])


def case(seed=0, **options):
    rng, layer = RNG(seed), MaskedAttention(12, 3, **options)
    return layer, random_params(layer, rng), *rng.standard_normal((2, 2, 7, 12))


def passes(layer, params, x, dy, lengths=None):
    """(y, dx, the flat gradient of the parameters, att)"""
    grads = params.zeros_like()
    y, cache = layer.forward(params, x, lengths)
    return y, layer.backward(params, dy, cache, grads), grads.flat, cache["att"]


@pytest.mark.parametrize("rotary", [False, True])
def test_a_later_token_changes_nothing_before_it_and_gets_no_gradient_from_there(rotary):
    layer, params, x, dy = case(rotary=rotary)
    y, _ = layer.forward(params, x)
    for t in range(7):
        changed = x.copy()
        changed[:, t] += 1
        again, _ = layer.forward(params, changed)
        np.testing.assert_array_equal(again[:, :t], y[:, :t])
        assert (abs(again[:, t:] - y[:, t:]).max(axis=-1) > 1e-9).all()
        early = dy.copy()
        early[:, t + 1 :] = 0  # the loss looks at the tokens up to t
        _, dx, _, att = passes(layer, params, x, early)
        assert not dx[:, t + 1 :].any() and dx[:, : t + 1].all()
        assert not att[:, :, t, t + 1 :].any()


@pytest.mark.parametrize("causal", [False, True])
def test_padding_never_matters_forward_or_backward(causal):
    layer, params, x, dy = case(causal=causal)
    dy[1, 3:] = 0  # as of a loss that leaves padding out
    y, dx, dparams, att = passes(layer, params, x, dy, LENGTHS)
    other = x.copy()
    other[1, 3:] = RNG(1).standard_normal((4, 12))
    again, dother, dparams_again, _ = passes(layer, params, other, dy, LENGTHS)
    np.testing.assert_array_equal(again[0], y[0])
    np.testing.assert_array_equal(again[1, :3], y[1, :3])
    np.testing.assert_allclose(dother, dx, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(dparams_again, dparams, rtol=1e-12, atol=1e-14)
    assert not dx[1, 3:].any() and not att[1, :, :, 3:].any()
    alone, dalone, _, _ = passes(layer, params, x[1:, :3], dy[1:, :3])
    np.testing.assert_allclose(y[1:, :3], alone, rtol=1e-12)
    np.testing.assert_allclose(dx[1:, :3], dalone, rtol=1e-12, atol=1e-14)


def test_without_a_mask_it_is_attention_to_the_last_digit():
    layer, params, x, dy = case(causal=False)
    y, dx, dparams, _ = passes(layer, params, x, dy)
    expected, gradients = analytic(Attention(12, 3), params, x, dy)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(dx, gradients["x"])
    assert dparams.any()


@both_ways
def test_gradients_equal_numeric_ones_with_lengths(differentiate, dtype, limit):
    layer, rng = PADDED(8, 2, rotary=True, causal=False), RNG(0)
    params, x = random_params(layer, rng), rng.standard_normal((3, 5, 8))
    dy = rng.standard_normal(x.shape)
    _, gradients = analytic(layer, params, x, dy)
    params, x = params.astype(dtype), x.astype(dtype)
    for name, array in [("x", x), *params.named()]:
        slopes = differentiate(lambda: (layer.forward(params, x)[0] * dy).sum(), array)
        assert relative_error(gradients[name], slopes) <= limit, name


def test_both_masks_equal_pytorch():
    torch = pytest.importorskip("torch")
    from tests import torch_reference

    layer, params, x, dy = case()
    grads = params.zeros_like()
    y, cache = layer.forward(params, x, LENGTHS)
    dx = layer.backward(params, dy, cache, grads)
    twin = torch.nn.MultiheadAttention(12, 3, batch_first=True, dtype=torch.float64)
    own = {"in_proj_": params["qkv"], "out_proj.": params["proj"]}
    state = {f"{to}weight": torch.tensor(leaf["w"].T) for to, leaf in own.items()}
    twin.load_state_dict(state | {f"{to}bias": torch.tensor(leaf["b"]) for to, leaf in own.items()})
    z = torch.tensor(x, requires_grad=True)
    padding = torch.arange(7) >= torch.tensor(LENGTHS)[:, None]
    later = torch_reference.later(7)
    expected, _ = twin(z, z, z, attn_mask=later, key_padding_mask=padding, need_weights=False)
    expected.backward(torch.tensor(dy))
    assert relative_error(y, expected.detach().numpy()) <= 1e-10
    assert relative_error(dx, z.grad.numpy()) <= 1e-10
    for to, leaf in {"in_proj_": grads["qkv"], "out_proj.": grads["proj"]}.items():
        theirs = dict(twin.named_parameters())
        assert relative_error(leaf["w"], theirs[f"{to}weight"].grad.numpy().T) <= 1e-10
        assert relative_error(leaf["b"], theirs[f"{to}bias"].grad.numpy()) <= 1e-10


@pytest.mark.parametrize("rotary", [False, True])
def test_one_token_at_a_time_gives_what_the_full_pass_gives(rotary):
    layer, params, x, _ = case(rotary=rotary)
    y, cache = layer.forward(params, x)
    past = None
    for t in range(7):
        one, past = layer.step(params, x[:, t : t + 1], past)
        np.testing.assert_allclose(one, y[:, t : t + 1], rtol=1e-11)
    np.testing.assert_allclose(past["k"], cache["k"], rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(past["v"], cache["v"], rtol=1e-11, atol=1e-14)


def test_no_score_is_so_large_that_a_hidden_key_is_seen():
    layer, params, x, _ = case()
    params["qkv"]["w"][...] *= 1e8  # scores of 1e16
    _, cache = layer.forward(params, x, LENGTHS)
    assert not np.triu(cache["att"], 1).any() and not cache["att"][1, :, :, 3:].any()
    np.testing.assert_allclose(cache["att"].sum(axis=-1), 1, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_dtypes_are_kept(dtype):
    layer, params, x, dy = case(rotary=True)
    y, dx, dparams, att = passes(
        layer, params.astype(dtype), x.astype(dtype), dy.astype(dtype), LENGTHS
    )
    assert {y.dtype, dx.dtype, dparams.dtype, att.dtype} == {np.dtype(dtype)}
    one, past = layer.step(params.astype(dtype), x[:, :1].astype(dtype))
    assert {one.dtype, past["k"].dtype} == {np.dtype(dtype)}


@pytest.mark.parametrize(
    "lengths, error, message",
    [
        ([7, 0], ValueError, "lengths must be of the 7 tokens, 1 to 7, got 0"),
        ([8, 1], ValueError, "1 to 7, got 8"),
        ([-1, 1], ValueError, "1 to 7, got -1"),
        ([7], ValueError, r"lengths: expected shape \(2\), got \(1,\)"),
        ([[7, 1]], ValueError, r"lengths: expected shape \(2\), got \(1, 2\)"),
        ([7.0, 1.0], TypeError, "lengths must be integers, got float64"),
        ([True, True], TypeError, "lengths must be integers, got bool"),
    ],
)
def test_refuses_lengths_that_do_not_fit(lengths, error, message):
    layer, params, x, _ = case()
    with pytest.raises(error, match=f"MaskedAttention: .*{message}"):
        layer.forward(params, x, lengths)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: MaskedAttention(9, 3, rotary=True), "width 3 of a head must be even"),
        (lambda: MaskedAttention(9, 2), "dim 9 is not divisible by heads 2"),
        (lambda: case()[0].forward(case()[1], np.zeros((7, 12))), r"\(B, T, 12\), got \(7, 12\)"),
        (lambda: case()[0].step(case()[1], case()[2]), r"step: expected shape \(B, 1, 12\)"),
        (lambda: case(causal=False)[0].step(case()[1], case()[2][:, :1]), "without causal=True"),
    ],
)
def test_refuses_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()
