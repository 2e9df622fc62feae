import numpy as np
import pytest
from minivit.data.preparation import Preparation
from minivit.runs import load_run

from tests.saved_runs import saved

ROWS = [dict(step=0, loss=2.3)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pool", ["mean", "cls"])
def test_what_was_saved_is_loaded(tmp_path, pool, dtype):
    model, params = saved(tmp_path, ROWS, pool, dtype)
    again, again_params, preparation, classes = load_run(tmp_path)
    assert again.config == model.config
    np.testing.assert_array_equal(again_params.flat, params.flat)
    assert again_params.flat.dtype == dtype
    assert [n for n, _ in again_params.named()] == [n for n, _ in params.named()]
    assert (preparation, classes) == (Preparation(0.1, 0.3), ["a", "b", "c"])
    images = np.random.default_rng(0).standard_normal((2, 4, 6, 1)).astype(dtype)
    np.testing.assert_array_equal(
        again.forward(again_params, images)[0], model.forward(params, images)[0]
    )
