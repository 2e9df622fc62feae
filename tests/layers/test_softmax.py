import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from minivit.layers import Softmax

scores = arrays.arrays(
    np.float64,
    arrays.array_shapes(min_dims=2, max_dims=3, max_side=7),
    elements=st.floats(-1e3, 1e3),
)


@given(scores)
def test_rows_are_positive_and_sum_to_one(x):
    y, _ = Softmax().forward(x)
    assert (y >= 0).all()
    np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-12)


@given(scores, st.floats(-100, 100))
def test_ignores_a_shift_of_a_row(x, shift):
    y, _ = Softmax().forward(x)
    moved, _ = Softmax().forward(x + shift)
    np.testing.assert_allclose(moved, y, rtol=1e-9, atol=1e-12)


def test_huge_scores_do_not_overflow():
    y, _ = Softmax().forward(np.array([[3e38, 2e38, -1e30]], np.float32))
    np.testing.assert_array_equal(y, [[1, 0, 0]])


def test_equals_naive_loops():
    x = np.random.default_rng(0).standard_normal((2, 3))
    y, _ = Softmax().forward(x)
    for row, weights in zip(x, y, strict=True):
        numer = [np.exp(score) for score in row]
        np.testing.assert_allclose(weights, [n / sum(numer) for n in numer], rtol=1e-14)
