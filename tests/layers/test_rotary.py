import math

import numpy as np
import pytest

from minivit.checks.numeric import random_params
from minivit.layers import MaskedAttention, Rotary
from minivit.layers.rotary import rotate, rotate_back

RNG = np.random.default_rng


def test_a_pair_is_turned_by_its_angle():
    (x,) = RNG(0).standard_normal((1, 2, 3, 5, 6))
    y, _ = Rotary(6).forward(x, 4)
    for t in range(5):
        for i in range(3):
            angle = (t + 4) * 10000 ** (-2 * i / 6)
            turn = np.array(
                [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
            )
            pair = slice(2 * i, 2 * i + 2)
            np.testing.assert_allclose(y[:, :, t, pair], x[:, :, t, pair] @ turn.T, rtol=1e-12)


def test_scores_depend_on_the_difference_of_places_only():
    q, k = RNG(0).standard_normal((2, 2, 3, 5, 6))
    scores = rotate(q) @ rotate(k).mT
    for start in (1, 17, 1000):
        moved = rotate(q, start) @ rotate(k, start).mT
        np.testing.assert_allclose(moved, scores, rtol=1e-10, atol=1e-11)
    assert abs(rotate(q, 1) @ rotate(k).mT - scores).max() > 0.1


def test_equal_tokens_score_by_their_distance_alone():
    layer = MaskedAttention(12, 3, causal=False, rotary=True)
    params = random_params(layer, RNG(0))
    x = np.tile(RNG(1).standard_normal(12), (1, 6, 1))
    _, cache = layer.forward(params, x)
    scores = cache["q"] @ cache["k"].mT
    for distance in range(-5, 6):
        diagonal = np.diagonal(scores, distance, axis1=2, axis2=3)
        np.testing.assert_allclose(diagonal, diagonal[..., :1] + 0 * diagonal, rtol=1e-11)
    assert np.ptp(scores[0, 0, 0]) > 0.01


def test_turning_back_is_the_inverse_and_keeps_lengths():
    x = RNG(0).standard_normal((2, 3, 5, 6))
    np.testing.assert_allclose(rotate_back(rotate(x, 3), 3), x, rtol=1e-12)
    np.testing.assert_allclose((rotate(x) ** 2).sum(-1), (x**2).sum(-1), rtol=1e-12)
    np.testing.assert_array_equal(rotate(x)[:, :, 0], x[:, :, 0])


def test_backward_uses_the_start_of_the_forward():
    x, dy = RNG(0).standard_normal((2, 2, 3, 5, 6))
    y, cache = Rotary(6).forward(x, 9)
    assert (Rotary(6).backward(dy, cache) * x).sum() == pytest.approx((dy * y).sum())


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_dtypes_are_kept(dtype):
    assert rotate(np.ones((1, 1, 2, 4), dtype)).dtype == dtype
    assert rotate_back(np.ones((1, 1, 2, 4), dtype)).dtype == dtype


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Rotary(5), "width 5 of a head must be even"),
        (lambda: Rotary(0), "width must be at least 1, got 0"),
        (lambda: Rotary(4).forward(np.zeros((2, 3, 4))), r"\(B, h, T, 4\), got \(2, 3, 4\)"),
    ],
)
def test_refuses_what_cannot_be_turned(call, message):
    with pytest.raises(ValueError, match=message):
        call()
