import json

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


def test_refuses_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no run: it has no config.json"):
        load_run(tmp_path)


def change_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    config["model"] |= changes
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda f: (f / "config.json").write_text("{"), "config.json does not describe a model"),
        (lambda f: (f / "config.json").write_text("[]"), "config.json does not describe a model"),
        (lambda f: change_config(f, heads=4), "does not describe a model.*dim 6 is not divisible"),
        (lambda f: change_config(f, colour=4), "does not describe a model.*colour"),
        (
            lambda f: change_config(f, mlp_dim=9),
            r"'blocks.0.mlp.fc1.b' is \(\(5,\), 'float32'\) in the file, \(\(9,\), 'float32'\) in",
        ),
        (
            lambda f: change_config(f, pool="mean"),
            r"'cls' is \(\(6,\), 'float32'\) in the file, unknown in the model",
        ),
        (
            lambda f: (f / "weights.safetensors").write_bytes(
                (f / "weights.safetensors").read_bytes()[:-1]
            ),
            "weights.safetensors is damaged",
        ),
    ],
)
def test_refuses_a_damaged_run_by_name(tmp_path, spoil, message):
    saved(tmp_path, ROWS)
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message):
        load_run(tmp_path)
