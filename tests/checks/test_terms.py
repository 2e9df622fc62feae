"""Terms and factors by their names, found among the arrays of a pass."""

import numpy as np
import pytest

from minivit.checks import terms
from minivit.checks.diagnose import Mismatch

RNG = np.random.default_rng(0)
DY, X = RNG.standard_normal((2, 3, 4, 5))
W, RSTD = RNG.standard_normal(5), RNG.standard_normal((3, 4, 1))
MATRIX = RNG.standard_normal((5, 5))
RIGHT = RNG.standard_normal((3, 4, 5))
FORWARD = {"dy": DY, "x": X, "w": W, "rstd": RSTD, "matrix": MATRIX}
BACKWARD = {"average": RNG.standard_normal((3, 4, 1)), "dx": RIGHT}


@pytest.mark.parametrize(
    "cause, analytic, numeric, expected",
    [
        (terms.missing_factor, RIGHT, RIGHT * W, "the factor w is missing"),
        (terms.missing_factor, RIGHT * RSTD, RIGHT, "the factor rstd appears once too often"),
        (terms.uneven_factor, RIGHT * [1, 2, 3, 4, 5], RIGHT, "each feature is off by a factor"),
        (terms.uneven_factor, RIGHT * RSTD**2, RIGHT, "each row is off by a factor of its own"),
        (terms.missing_factor, RIGHT + 1, RIGHT, None),
        (terms.missing_factor, W, RIGHT[0, 0], None),
        (terms.missing_factor, DY, DY * X, "the factor x is missing"),
        (terms.missing_factor, DY * X, DY, "the factor x appears once too often"),
        (terms.missing_factor, RIGHT**2, DY, None),
        (terms.missing_term, RIGHT - X, RIGHT, "it lacks the term x"),
        (terms.missing_term, RIGHT + DY * X, RIGHT, "the term −dy · x, or contains dy · x once"),
        (terms.missing_term, RIGHT - 2 * DY, RIGHT, "dy has the wrong sign: minus instead of plus"),
        (terms.missing_term, RIGHT + 2 * DY, RIGHT, "dy has the wrong sign: plus instead of minus"),
        (terms.missing_term, RIGHT - 0.7 * X, RIGHT, "it lacks 0.7 · x"),
        (terms.missing_term, RIGHT - X * BACKWARD["average"], RIGHT, "lacks the term x · average"),
        (terms.missing_term, RIGHT - RNG.standard_normal((3, 1, 5)), RIGHT, "constant along axis"),
        (terms.missing_term, RIGHT + RNG.standard_normal((3, 4, 1)) * X, RIGHT, "a multiple of x"),
        (terms.missing_term, RIGHT**2, RIGHT, None),
        (terms.rest_has_the_wrong_sign, X * W - RIGHT, X * W + RIGHT, "the term in x · w has"),
        (terms.rest_has_the_wrong_sign, -RIGHT, X * W, None),
        (terms.other_product, DY * X * W, RIGHT, "it is dy · x · w"),
        (terms.other_product, DY @ MATRIX, DY @ MATRIX.T,
         "it is dy @ matrix; it should be dy @ matrixᵀ"),
        (terms.other_product, X.reshape(12, 5).T @ DY.reshape(12, 5), MATRIX, "xᵀ @ dy"),
        (terms.other_product, -DY.sum(axis=(0, 1)), W, "it is −Σ dy"),
        (terms.other_product, X.mean(axis=(0, 1)), W**2, "0.0833333 · Σ x"),
        (terms.other_product, RIGHT**2 + 1, RIGHT, None),
    ],
)  # fmt: skip
def test_a_term_is_found(cause, analytic, numeric, expected):
    sentence = cause(Mismatch(analytic, numeric, X.shape, "x", FORWARD, BACKWARD))
    assert expected in sentence if expected else sentence is None


def test_the_result_itself_is_no_term():
    mismatch = Mismatch(RIGHT, 3 * RIGHT, X.shape, "x", {}, {"dx": RIGHT})
    assert terms.missing_term(mismatch) is None
