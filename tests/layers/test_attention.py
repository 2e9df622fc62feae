import math

import numpy as np
import pytest

from minivit.checks.numeric import random_params
from minivit.layers import Attention
from tests.numeric import analytic


def case(dim=15, heads=3, tokens=7, seed=0):
    rng = np.random.default_rng(seed)
    layer = Attention(dim, heads)
    return layer, random_params(layer, rng), rng.standard_normal((2, tokens, dim)), rng


def naive_attention(params, x, heads):
    """One image, query by query and number by number."""
    T, D = x.shape
    d = D // heads
    qkv = x @ params["qkv"]["w"] + params["qkv"]["b"]
    mix = np.zeros((T, D))
    for head in range(heads):
        columns = range(head * d, (head + 1) * d)
        for query in range(T):
            scores = [
                sum(qkv[query, c] * qkv[key, D + c] for c in columns) / math.sqrt(d)
                for key in range(T)
            ]
            numer = [math.exp(score) for score in scores]
            for key in range(T):
                for c in columns:
                    mix[query, c] += numer[key] / sum(numer) * qkv[key, 2 * D + c]
    return mix @ params["proj"]["w"] + params["proj"]["b"]


def test_equals_naive_loops():
    layer, params, x, _ = case()
    y, _ = layer.forward(params, x)
    for image, expected in zip(y, x, strict=True):
        np.testing.assert_allclose(image, naive_attention(params, expected, 3), rtol=1e-12)


def test_permuted_tokens_give_permuted_outputs():
    layer, params, x, rng = case()
    dy = rng.standard_normal(x.shape)
    order = rng.permutation(x.shape[1])
    y, gradients = analytic(layer, params, x, dy)
    shuffled, shuffled_gradients = analytic(layer, params, x[:, order], dy[:, order])
    np.testing.assert_allclose(shuffled, y[:, order], rtol=1e-10)
    np.testing.assert_allclose(
        shuffled_gradients["x"], gradients["x"][:, order], rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(
        shuffled_gradients["qkv.w"], gradients["qkv.w"], rtol=1e-9, atol=1e-12
    )


def test_every_output_token_depends_on_every_input_token():
    layer, params, x, rng = case()
    for token in range(x.shape[1]):
        dy = np.zeros_like(x)
        dy[:, token] = rng.standard_normal((2, x.shape[2]))
        _, gradients = analytic(layer, params, x, dy)
        assert (np.abs(gradients["x"]).max(axis=-1) > 1e-6).all()


def test_the_key_bias_has_no_gradient():
    layer, params, x, rng = case()
    _, gradients = analytic(layer, params, x, rng.standard_normal(x.shape))
    q_bias, k_bias, v_bias = gradients["qkv.b"].reshape(3, 15)
    np.testing.assert_allclose(k_bias, 0, atol=1e-14)
    assert np.abs(q_bias).min() > 1e-6
    assert np.abs(v_bias).min() > 1e-6


def test_attention_rows_sum_to_one():
    layer, params, x, _ = case()
    _, cache = layer.forward(params, x)
    assert cache["att"].shape == (2, 3, 7, 7)
    np.testing.assert_allclose(cache["att"].sum(axis=-1), 1, rtol=1e-12)


def test_one_token_attends_to_itself():
    layer, params, x, _ = case(tokens=1)
    y, cache = layer.forward(params, x)
    np.testing.assert_array_equal(cache["att"], 1)
    assert y.shape == (2, 1, 15)


def test_refuses_heads_that_do_not_divide_dim():
    with pytest.raises(ValueError, match="dim 64 is not divisible by heads 5"):
        Attention(64, 5)


@pytest.mark.parametrize("shape", [(7, 15), (2, 7, 14), (2, 3, 7, 15)])
def test_refuses_a_wrong_shape(shape):
    layer, params, _, _ = case()
    with pytest.raises(ValueError, match=r"Attention: expected shape \(B, T, 15\), got"):
        layer.forward(params, np.zeros(shape))
