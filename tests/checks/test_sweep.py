import numpy as np

from minivit.checks.sweep import step_sweep
from minivit.layers import Attention


def test_central_differences_make_a_v_and_the_complex_step_has_no_step_to_choose():
    x = np.random.default_rng(0).standard_normal((2, 7, 15))
    steps = 10.0 ** np.arange(-14, 1)
    errors = step_sweep(Attention(15, 3), x, steps)
    best = errors["central"].argmin()
    assert 1e-7 <= steps[best] <= 1e-3
    assert errors["central"][best] < 1e-8
    assert errors["central"][0] > 1e3 * errors["central"][best] < errors["central"][-1]
    assert (errors["complex"][steps <= 1e-8] < 1e-13).all()
