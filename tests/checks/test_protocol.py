"""What a layer may not do, each by a layer that does it."""

import numpy as np
import pytest

import minivit
from minivit.checks.protocol import forward_of
from minivit.layers import Dropout, Linear

X = np.random.default_rng(0).standard_normal((3, 2, 5))


class ChangesParams(Linear):
    def forward(self, params, x):
        params["w"] *= 1.0 + 1e-6
        return super().forward(params, x)


class ChangesParamsInBackward(Linear):
    def backward(self, params, dy, cache, grads):
        dx = super().backward(params, dy, cache, grads)
        params["b"] -= 0.1 * grads["b"]
        return dx


class ChangesTheCache(Linear):
    def backward(self, params, dy, cache, grads):
        dx = super().backward(params, dy, cache, grads)
        cache["x"] = 0 * cache["x"]
        return dx


class ReturnsNothing(Linear):
    def backward(self, params, dy, cache, grads):
        super().backward(params, dy, cache, grads)


class DrawsAnew(Linear):
    def backward(self, params, dy, cache, grads):
        return super().backward(params, dy * np.random.default_rng().random(), cache, grads)


class OnSelf(Linear):
    def forward(self, params, x):
        self.x = x
        return super().forward(params, x)

    def backward(self, params, dy, cache, grads):
        return super().backward(params, dy, {"x": self.x}, grads)


class Assigns(Linear):
    def backward(self, params, dy, cache, grads):
        grads["w"][...] = 0
        return super().backward(params, dy, cache, grads)


@pytest.mark.parametrize(
    "layer, problem",
    [
        (ChangesParams(5, 3), "forward changes params in place"),
        (ChangesParamsInBackward(5, 3), "backward changes params in place"),
        (ChangesTheCache(5, 3), "backward changes the cache in place"),
        (ReturnsNothing(5, 3), "backward returns NoneType; it must return dx"),
        (DrawsAnew(5, 3), "two backward passes differ: backward must use what forward drew"),
        (OnSelf(5, 3), "another forward pass before backward changes the gradients"),
        (Assigns(5, 3), "grads 'w' is assigned; backward must add to it, with +="),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_breaks_the_protocol_is_named(layer, problem):
    report = minivit.gradcheck(layer, X)
    assert not report.ok
    assert any(found.startswith(problem) for found in report.problems), report
    assert f"PROBLEM: {problem}" in str(report)


def test_a_forward_that_draws_is_checked_as_in_training():
    layer = Dropout(0.5, 0.3)
    forward = forward_of(layer, seed=3)
    y, _ = forward({}, X)
    assert 0 < (y == 0).mean() < 1
    np.testing.assert_array_equal(forward({}, X)[0], y)
    assert (forward_of(layer, seed=4)({}, X)[0] != y).any()
    assert minivit.gradcheck(layer, X).ok
    assert forward_of(Linear(5, 3), seed=3).__name__ == "forward"
