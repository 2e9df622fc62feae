import math

import numpy as np
import pytest

from minivit.checks.numeric import random_params
from minivit.layers import Embedding
from tests.numeric import complex_step, relative_error

RNG = np.random.default_rng
TOKENS = np.array([[3, 0, 3, 6], [3, 1, 1, 0]])  # of 7 words, of which 2, 4, 5 never come


def case():
    layer = Embedding(7, 5)
    return layer, random_params(layer, RNG(0)), RNG(1).standard_normal((2, 4, 5))


def test_a_word_has_its_vector_wherever_it_stands_and_gets_the_sum_of_its_gradients():
    layer, params, dy = case()
    grads = params.zeros_like()
    grads.flat += 1  # it is added to
    y, cache = layer.forward(params, TOKENS)
    assert layer.backward(params, dy, cache, grads) is None
    expected = np.ones((7, 5))
    for place in np.ndindex(2, 4):
        np.testing.assert_allclose(y[place], params["w"][TOKENS[place]] * math.sqrt(5), rtol=1e-14)
        expected[TOKENS[place]] += math.sqrt(5) * dy[place]
    np.testing.assert_allclose(grads["w"], expected, rtol=1e-12)


def test_gradient_equals_the_complex_step_and_pytorch():
    torch = pytest.importorskip("torch")
    layer, params, dy = case()
    grads, z = params.zeros_like(), params.astype(complex)
    _, cache = layer.forward(params, TOKENS)
    layer.backward(params, dy, cache, grads)
    slopes = complex_step(lambda: (layer.forward(z, TOKENS)[0] * dy).sum(), z["w"])
    assert relative_error(grads["w"], slopes) <= 1e-12
    twin = torch.nn.Embedding(7, 5, _weight=torch.tensor(params["w"]))
    (twin(torch.tensor(TOKENS)) * 5**0.5).backward(torch.tensor(dy))
    assert relative_error(grads["w"], twin.weight.grad.numpy()) <= 1e-10


def test_words_that_are_read_and_written_get_both_gradients():
    layer, params, _ = case()
    dlogits = RNG(2).standard_normal((2, 4, 7))
    grads, read, written = (params.zeros_like() for _ in range(3))
    y, cache = layer.forward(params, TOKENS)
    logits, of_logits = layer.logits(params, y)
    np.testing.assert_allclose(logits, y @ params["w"].T, rtol=1e-12)
    dy = layer.logits_backward(params, dlogits, of_logits, grads)
    layer.backward(params, dy, cache, grads)
    layer.logits_backward(params, dlogits, of_logits, written)
    layer.backward(params, dy, cache, read)
    np.testing.assert_allclose(grads["w"], read["w"] + written["w"], rtol=1e-12)
    z = params.astype(complex)

    def loss():
        return (layer.logits(z, layer.forward(z, TOKENS)[0])[0] * dlogits).sum()

    assert relative_error(grads["w"], complex_step(loss, z["w"])) <= 1e-12


def test_initial_words_are_as_large_as_what_blocks_expect():
    layer = Embedding(100, 64)
    nest = layer.init(RNG(0))
    assert nest["w"].dtype == np.float32
    y, _ = layer.forward(nest, np.arange(100)[None])
    assert y.std() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_dtypes_are_kept(dtype):
    layer, params, dy = case()
    params = params.astype(dtype)
    y, cache = layer.forward(params, TOKENS.astype(np.uint8))
    grads = params.zeros_like()
    layer.backward(params, dy.astype(dtype), cache, grads)
    logits, _ = layer.logits(params, y)
    assert {y.dtype, grads["w"].dtype, logits.dtype} == {np.dtype(dtype)}


@pytest.mark.parametrize(
    "tokens, error, message",
    [
        ([[0, 7]], ValueError, "token 7 is out of range; 7 words are numbered 0 to 6"),
        ([[0, -1]], ValueError, "token -1 is out of range"),
        ([[0.0, 1.0]], TypeError, "tokens must be integers, got float64"),
        ([[True]], TypeError, "tokens must be integers, got bool"),
        ([0, 1], ValueError, r"expected shape \(B, T\), got \(2,\)"),
    ],
)
def test_refuses_what_is_no_word(tokens, error, message):
    layer, params, _ = case()
    with pytest.raises(error, match=f"Embedding: {message}"):
        layer.forward(params, tokens)


def test_refuses_sizes_and_logits_of_another_width():
    layer, params, _ = case()
    with pytest.raises(ValueError, match="Embedding: words must be at least 1, got 0"):
        Embedding(0, 5)
    with pytest.raises(ValueError, match=r"Embedding.logits: expected shape \(..., 5\)"):
        layer.logits(params, np.zeros((2, 4, 6)))
