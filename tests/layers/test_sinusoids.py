import math

import numpy as np
import pytest

from minivit.layers import SinusoidalPositions, SinusoidalPositions2D


def naive(place, features):
    """The formula of Vaswani et al., feature by feature."""
    return [
        (math.cos if k % 2 else math.sin)(place / 10000 ** ((k - k % 2) / features))
        for k in range(features)
    ]


def table_of(layer, tokens, dim):
    return layer.forward({}, np.zeros((1, tokens, dim)))[0][0]


def test_1d_is_the_papers_formula():
    expected = [naive(place, 6) for place in range(20)]
    np.testing.assert_allclose(table_of(SinusoidalPositions(20, 6), 20, 6), expected, rtol=1e-12)


def test_2d_tells_rows_by_one_half_and_columns_by_the_other():
    table = table_of(SinusoidalPositions2D(3, 5, 12), 15, 12)
    for row in range(3):
        for column in range(5):
            expected = naive(row, 6) + naive(column, 6)
            np.testing.assert_allclose(table[row * 5 + column], expected, rtol=1e-12)


@pytest.mark.parametrize("layer", [SinusoidalPositions(12, 8), SinusoidalPositions2D(3, 4, 8)])
def test_no_two_places_are_alike_and_all_are_as_large(layer):
    table = table_of(layer, 12, 8)
    assert len(np.unique(table.round(9), axis=0)) == 12
    np.testing.assert_allclose((table**2).sum(axis=1), 4, rtol=1e-12)


def test_some_places_further_is_a_turn_wherever_one_starts():
    table = table_of(SinusoidalPositions(50, 8), 50, 8)
    turn, *_ = np.linalg.lstsq(table[:40], table[7:47], rcond=None)
    np.testing.assert_allclose(table[:43] @ turn, table[7:], atol=1e-9)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: SinusoidalPositions(3, 7), "dim 7 must be even"),
        (lambda: SinusoidalPositions2D(3, 4, 6), "dim 6 must be divisible by 4"),
        (lambda: SinusoidalPositions2D(0, 4, 8), "rows must be at least 1, got 0"),
        (lambda: SinusoidalPositions(3, 8).forward({}, np.zeros((2, 1, 8))), r"\(B, 3, 8\), got"),
    ],
)
def test_refuses_what_cannot_be_placed(make, message):
    with pytest.raises(ValueError, match=message):
        make()
