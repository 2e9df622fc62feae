"""The equations of the derivations: what is right passes, and what is wrong does not."""

import numpy as np
import pytest

from tests.docs.board import Board
from tests.docs.equations import equations
from tests.docs.seen import run_example

SEEN = {
    "x": [np.array([[[1.0, 2], [3, 4]]])],
    "dx": [np.array([[0.5, 0.25]])],
    "score": [np.array(3.0), np.array(1.5)],
}


def check(text):
    board = Board(SEEN)
    for equation in equations(text):
        board.check(equation)
    return board


RIGHT = """
x = [ 1  2 ]      w = [ 0  1 ]      b = [ ½  1/3 ]      # 1 + 1 = 2
    [ 3  4 ]          [ 1  0 ]
y = x w + b = [ 2.5  4/3 ]
              [ 4.5  10/3 ]
xᵀ w = [ 3  1 ]
       [ 4  2 ]
x · w ≠ x w
y[0, 0]     = x[0, 0] · w[0, 0] + x[0, 1] · w[1, 0] + b[0]
            = 1 · 0 + 2 · 1 + 0.5
            = 2.5
Σ(x) = [ 3 ]      Σᵣ(x) = [ 4  6 ]      mean(x) = [ 1.5 ]      max(x) = [ 2 ]
       [ 7 ]                                      [ 3.5 ]               [ 4 ]
√2 · √(1 + 1) = 2
root = √2 ≈ 1.414 ≈ 1.4142
softmax(x[0]) ≈ [ 0.269  0.731 ]
log(exp(2)) − 3² = −7
softmax([ 1  −∞ ]) = [ 1  0 ]
sin(½ · π) − cos(0) = 0
dx[1] ≈ 0.3
dx[1] · x[0, 1] ≈ 0.3 · 2
score = 1.5 · 2
half = score / 2
"""
WRONG = """
x = [ 1  2 ]
x[0, 0] = 2
x[0] = [ 1  2  3 ]
x[0, 0] · x[0, 1] = 2 · 1
dx = [ 0.5  0.3 ]
dx[1] ≈ 0.24
dx[1] · 4 ≈ 2
x[0, 0] + dx[0] · 0 = 1 + 7 · 0
x ≠ x
[ 1  −∞ ] = [ 2  −∞ ]
[ 1  −∞ ] = [ 1  7 ]
score = 2
unknown + 1 = 2
y = x w
x[0, 0] = 1      # 1 + 1 = 3
x[0, 0]
"""


def test_right_equations_pass_and_give_names_their_values():
    written = check(RIGHT).written
    np.testing.assert_allclose(written["y"], [[2.5, 4 / 3], [4.5, 10 / 3]])
    np.testing.assert_allclose(written["root"], 2**0.5)


@pytest.mark.parametrize("equation", WRONG.strip().splitlines())
def test_wrong_equations_do_not_pass(equation):
    with pytest.raises(AssertionError):
        check(equation)


@pytest.mark.parametrize(
    "text, message",
    [
        ("x = [ 1  2 ]\n    [ 3  5 ]", "x is, in the source,"),
        ("x[0] = [ 1  2 ]\n        [ 3  4 ]", "not below the first row of a matrix"),
        ("x = [ 1  2 ]\n    [ 3  4 ] + 1", "more than rows of a matrix"),
        ("x[0, 0] = 1 % 1", "cannot read '%'"),
    ],
)
def test_what_is_badly_written_is_refused_by_name(text, message):
    with pytest.raises(AssertionError, match=message):
        check(text)


def test_the_values_of_a_run_are_those_after_each_line():
    code = """
import numpy as np
from minivit.layers import LayerNorm
layer = LayerNorm(2, eps=3.0)
y, cache = layer.forward({"w": np.ones(2), "b": np.array([10.0, 20])}, np.array([[0.0, 2]]))
print(y)
"""
    _, printed, seen = run_example(code, "a page")
    assert printed == "[[ 9.5 20.5]]\n"
    np.testing.assert_array_equal(seen["centered"], [[[-1, 1]], [[-0.5, 0.5]]])  # then by out=
    np.testing.assert_array_equal(seen["normed"], [[[-0.5, 0.5]]])
    np.testing.assert_array_equal(seen["y"], [[[9.5, 20.5]]])  # what it returned, no stage of it
    np.testing.assert_array_equal(seen["rstd"], [[[0.5]]])
    assert "shares" not in seen  # a name of mean_features, which the page did not call
