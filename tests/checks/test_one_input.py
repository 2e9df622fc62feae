"""One input stands for several: the layer computes the same, and no number gets lost."""

import numpy as np
import pytest

from minivit.checks.numeric import random_params
from minivit.checks.one_input import AddedWords, SharedWords, lengths_of, one_input, words_at
from minivit.layers import CrossAttention, MaskedAttention, PreNormDecoderBlock

RNG = np.random.default_rng


@pytest.mark.parametrize("T", [1, 3, 5, 6])
def test_lengths_differ_and_fit(T):
    lengths = lengths_of(np.zeros((7, T, 2)))
    assert set(lengths.tolist()) == set(range(1, T + 1))


def test_some_words_come_once_some_again_and_some_never():
    counts = np.bincount(words_at(np.zeros((1, 8, 5)), 7)[0], minlength=7)
    assert {0, 1} < set(counts.tolist()) and counts.max() > 1


@pytest.mark.parametrize("kind", [CrossAttention, PreNormDecoderBlock])
def test_an_input_is_cut_and_its_gradient_put_together(kind):
    sizes = (12, 3, 7)[: 2 if kind is CrossAttention else 3]
    joint, layer = one_input(kind, 4, padded=True)(*sizes), kind(*sizes)
    params, x = random_params(layer, RNG(0)), RNG(1).standard_normal((3, 9, 12))
    y, cache = joint.forward(params, x)
    own = lengths_of(x[:, :4]), lengths_of(x[:, 4:])
    lengths = own[1:] if kind is CrossAttention else own
    expected, _ = layer.forward(params, x[:, :4], x[:, 4:], *lengths)
    np.testing.assert_array_equal(y, expected)
    gradients = layer.backward(params, y, cache, params.zeros_like())
    dx = joint.backward(params, y, cache, params.zeros_like())
    np.testing.assert_array_equal(dx, np.concatenate(gradients, axis=1))
    assert type(joint).__name__ == kind.__name__


def test_lengths_reach_a_layer_without_a_memory():
    joint = one_input(MaskedAttention, padded=True)(12, 3)
    params, x = random_params(joint, RNG(0)), RNG(1).standard_normal((3, 5, 12))
    _, cache = joint.forward(params, x)
    for att, length in zip(cache["att"], lengths_of(x), strict=True):
        assert att[..., :length].any(axis=(0, 1)).all() and not att[..., length:].any()


@pytest.mark.parametrize("kind", [AddedWords, SharedWords])
def test_words_are_added_to_the_input(kind):
    layer, x = kind(7, 5), RNG(1).standard_normal((2, 8, 5))
    params = random_params(layer, RNG(0))
    y, _ = layer.forward(params, x)
    read = x + params["w"][words_at(x, 7)] * 5**0.5
    expected = read if kind is AddedWords else read @ params["w"].T
    np.testing.assert_allclose(y, expected, rtol=1e-12)
