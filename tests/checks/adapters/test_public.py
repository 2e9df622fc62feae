"""What public code does and a tidy example would not: it was refused once."""

import numpy as np
import pytest

import minivit

X, W = np.random.default_rng(0).normal(size=(2, 4, 3))


def test_backward_may_make_what_it_returns_in_two_steps():
    def forward(x, w):
        return x * w, (x, w)

    def backward(dout, cache):
        x, w = cache
        gradients = []
        gradients = [dout * w, dout * x]
        return gradients

    report = minivit.gradcheck(forward, backward, X, W)
    assert report.ok, report


@pytest.mark.parametrize("which", ["forward", "backward"])
def test_code_may_take_float64_alone(which):
    def forward(x, w):
        assert which == "backward" or x.dtype != np.float32
        return x * w, (x, w)

    def backward(dout, cache):
        x, w = cache
        assert dout.dtype == np.float64
        return dout * w, dout * x

    report = minivit.gradcheck(forward, backward, X, W)
    assert report.ok, report
