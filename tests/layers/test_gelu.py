import math

import numpy as np

from minivit.layers import GELU


def test_is_close_to_x_times_the_normal_distribution():
    x = np.linspace(-6, 6, 1001)
    y, _ = GELU().forward(x)
    exact = [value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in x]
    np.testing.assert_allclose(y, exact, atol=5e-4)  # the tanh form's known distance from it


def test_far_values_pass_or_vanish():
    y, cache = GELU().forward(np.array([-100.0, 0.0, 100.0], np.float32))
    dx = GELU().backward(np.ones(3, np.float32), cache)
    np.testing.assert_array_equal(y, [0, 0, 100])
    np.testing.assert_allclose(dx, [0, 0.5, 1])
