import csv
import json

import numpy as np
import pytest

import minivit
from minivit.data.preparation import Preparation
from minivit.training import Progress, load_checkpoint, load_run, new_run, open_run, save_run

ROWS = [
    dict(step=0, loss=2.3, validation_loss=None),
    dict(step=1, loss=1.5, validation_loss=1.6),
]


def saved(folder, pool="cls", dtype=np.float32):
    model = minivit.ViT(
        image_size=(4, 6), patch_size=2, channels=1, dim=6, depth=2, heads=2, mlp_dim=5, classes=3,
        pool=pool,
    )  # fmt: skip
    params = minivit.Params(model.init(np.random.default_rng(1), dtype))
    params.flat += 0.1
    save_run(str(folder), model, params, Preparation(0.1, 0.3), ["a", "b", "c"], ROWS)
    return model, params


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pool", ["mean", "cls"])
def test_what_was_saved_is_loaded(tmp_path, pool, dtype):
    model, params = saved(tmp_path, pool, dtype)
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


def test_metrics_are_a_table(tmp_path):
    saved(tmp_path)
    with open(tmp_path / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"step": "0", "loss": "2.3", "validation_loss": ""},
        {"step": "1", "loss": "1.5", "validation_loss": "1.6"},
    ]


def test_a_run_is_never_overwritten(tmp_path):
    names = [new_run("mnist", tmp_path / "runs").name for _ in range(3)]
    assert names == ["mnist", "mnist-2", "mnist-3"]


def test_nothing_of_another_is_overwritten(tmp_path):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist-2").write_text("a file")
    assert new_run("mnist", tmp_path).name == "mnist-3"
    assert list((tmp_path / "mnist").iterdir()) == []
    assert (tmp_path / "mnist-2").read_text() == "a file"


def test_a_run_has_its_name_once_its_first_files_are_there(tmp_path):
    def begin(folder):
        (folder / "training.json").write_text("{}")
        assert not (tmp_path / "mnist").exists()

    folder = new_run("mnist", tmp_path, begin)
    assert [path.name for path in folder.iterdir()] == ["training.json"]
    assert folder.stat().st_mode & 0o777 == 0o755

    def full(folder):
        (folder / "half").write_text("")
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        new_run("mnist", tmp_path, full)
    assert [path.name for path in tmp_path.iterdir()] == ["mnist"]


def test_a_run_goes_on_only_with_what_it_was_started_with(tmp_path):
    def progress(value):
        params = minivit.Params({"w": np.full(3, value)})
        return Progress(params, minivit.SGD(params, 0.1))

    started = {"options": {"seed": 1, "size": (4, 6)}, "mean": 0.1}
    first, again = progress(1.0), progress(2.0)
    folder = open_run("mnist", started, first, root=tmp_path)
    assert folder == tmp_path / "mnist"
    checkpoint = load_checkpoint(folder)
    assert open_run("mnist", started, again, checkpoint, root=tmp_path) == folder
    np.testing.assert_array_equal(again.params.flat, first.params.flat)
    message = "was started with the mean 0.1, but now it is 0.2; it can go on only with what"
    with pytest.raises(ValueError, match=message):
        open_run("mnist", started | {"mean": 0.2}, again, checkpoint, root=tmp_path)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp/x"])
def test_refuses_names_that_lead_elsewhere(tmp_path, name):
    with pytest.raises(ValueError, match="a run's name is a plain folder name"):
        new_run(name, tmp_path)


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
    saved(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message):
        load_run(tmp_path)
