"""In float32 a layer is as right as float32 can be, from the smallest number to the largest."""

import numpy as np
import pytest

from minivit.layers import GELU, Dropout, ExactGELU, Identity, LayerNorm, LayerScale, Softmax
from tests.numeric import backward, forward

LARGEST = float(np.finfo(np.float32).max)
SIZES = np.unique(np.concatenate([np.geomspace(1e-45, LARGEST, 3000), [0.0, 3e13, LARGEST]]))
X = np.concatenate([-SIZES[::-1], SIZES]).astype(np.float32)[:, None]  # (n, 1)
ELEMENT_WISE = [GELU(), ExactGELU(), Dropout(0.5), LayerScale(1, 0.7), Identity()]


def both(layer, x, dtype):
    """What a layer makes of x, and dx for a dy of ones, in a dtype, without warnings of inf."""
    params = layer.init(None, dtype) if hasattr(layer, "init") else {}
    grads = layer.init(None, dtype) if hasattr(layer, "init") else {}
    drawn = [np.random.default_rng(0)] if isinstance(layer, Dropout) else []
    with np.errstate(over="ignore", under="ignore"):
        if drawn:
            y, cache = layer.forward(x.astype(dtype), *drawn)
        else:
            y, cache = forward(layer, params, x.astype(dtype))
        return y, backward(layer, params, np.ones_like(y), cache, grads)


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("layer", ELEMENT_WISE, ids=lambda layer: type(layer).__name__)
def test_an_element_wise_layer_is_right_for_numbers_of_any_size(layer):
    assert X.min() == -LARGEST and X.max() == LARGEST
    y, dx = both(layer, X, np.float32)
    expected, slope = both(layer, X, np.float64)
    x, fits = X.astype(np.float64), abs(expected) <= LARGEST  # dropout doubles what it keeps
    assert (abs(y - expected) <= 1e-6 * abs(x) + 1e-45)[fits].all()
    assert abs(dx - slope).max() <= 1e-5
    assert np.isfinite(dx).all()


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("offset", [0, 1000, -1e6, 1e30])
@pytest.mark.parametrize("dim", [5, 768])
def test_layer_norm_of_a_constant_token_is_zero(dim, offset):
    layer = LayerNorm(dim)
    y, dx = both(layer, np.full((2, dim), offset, np.float32), np.float32)
    assert not y.any()
    assert abs(dx).max() <= 1e-3  # rstd is 1000, float32 has 7 digits


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("offset", [0, 10, 1000, -1e5])
def test_layer_norm_loses_no_digits_to_what_all_features_have_in_common(offset):
    """The input itself is rounded, so the same rounded input is given to float64."""
    rng, layer = np.random.default_rng(0), LayerNorm(768)
    x = (offset + rng.standard_normal((20, 768))).astype(np.float32)
    (y, _), (expected, _) = (both(layer, x, dtype) for dtype in (np.float32, np.float64))
    np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("size", [1e-30, 1, 1e30])
def test_softmax_takes_scores_of_any_size(size):
    x = (size * np.random.default_rng(0).standard_normal((20, 7))).astype(np.float32)
    (y, dx), (expected, slope) = (both(Softmax(), x, dtype) for dtype in (np.float32, np.float64))
    np.testing.assert_allclose(y, expected, atol=1e-6)
    np.testing.assert_allclose(dx, slope, atol=1e-6)
