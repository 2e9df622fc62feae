import json
import shutil

import numpy as np
import pytest
import safetensors.numpy

import minivit
from minivit.files import write_file
from minivit.training import Progress, load_checkpoint, save_checkpoint
from minivit.training import checkpoint as checkpoint_module
from minivit.training.checkpoint import begin_checkpoints

STARTED = {"options": {"seed": 3, "augment": ["flip"]}}


def progress_of(steps=0, size=5):
    params = minivit.Params({"w": np.zeros((2, size), np.float32)})
    progress = Progress(params, minivit.Adam(params, 0.1), minivit.EMA(params))
    for _ in range(steps):
        step(progress)
    return progress


def step(progress):
    number = len(progress.rows)
    grads = progress.params.zeros_like()
    grads.flat[...] = np.random.default_rng(number).standard_normal(grads.flat.shape)
    progress.optimizer.step(grads)
    progress.ema.update()
    progress.best.flat += 1
    progress.rows.append(dict(step=number, loss=0.1 * number, validation_loss=None))
    progress.seconds += 0.7


@pytest.fixture
def run(tmp_path):
    """A run with checkpoints of step 2 and step 3."""
    progress = progress_of()
    begin_checkpoints(tmp_path, STARTED, progress)
    for _ in range(3):
        step(progress)
        save_checkpoint(tmp_path, progress)
    return tmp_path


def names(run):
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def path_of(run, number):
    return run / "checkpoints" / f"step-{number:08}.safetensors"


def test_everything_comes_back_to_the_last_bit(run):
    checkpoint = load_checkpoint(run)
    assert (checkpoint.folder, checkpoint.started, checkpoint.refused) == (run, STARTED, [])
    again, expected = progress_of(), progress_of(3)
    again.load_state(checkpoint.state)
    assert again.rows == expected.rows
    assert again.seconds == expected.seconds
    assert again.optimizer.t == again.ema.t == 3
    step(again)
    step(expected)
    for name, value in expected.state().items():
        np.testing.assert_array_equal(again.state()[name], value, name)
    assert again.params.named()[0][1].base is again.params.flat


def test_the_one_before_is_kept_until_the_next_is_whole(run, monkeypatch):
    assert names(run) == ["step-00000002.safetensors", "step-00000003.safetensors"]
    progress = progress_of(4)
    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        save_checkpoint(run, progress)
    assert names(run) == ["step-00000002.safetensors", "step-00000003.safetensors"]
    save_checkpoint(run, progress)
    assert names(run) == ["step-00000003.safetensors", "step-00000004.safetensors"]


def test_what_a_kill_left_is_swept_away(run):
    (run / "checkpoints" / ".step-00000004.safetensors.x.aside").write_bytes(b"half")
    save_checkpoint(run, progress_of(4))
    assert names(run) == ["step-00000003.safetensors", "step-00000004.safetensors"]


def test_a_run_that_went_on_from_the_one_before_replaces_the_damaged_one(run):
    path_of(run, 9).write_bytes(b"damaged")
    save_checkpoint(run, progress_of(4))
    assert names(run) == ["step-00000003.safetensors", "step-00000004.safetensors"]


def damage(run, data):
    path_of(run, 3).write_bytes(data)
    return load_checkpoint(run)


@pytest.mark.parametrize("share", [0, 0.01, 0.1, 0.5, 0.99, 1])
def test_a_torn_one_is_refused_by_name_and_the_one_before_is_used(run, share):
    data = path_of(run, 3).read_bytes()
    checkpoint = damage(run, data[: min(int(share * len(data)), len(data) - 1)])
    assert len(checkpoint.state["rows"]) == 2
    (reason,) = checkpoint.refused
    assert reason.startswith(f"{path_of(run, 3)} is damaged (")


def test_any_flipped_bit_is_noticed(run):
    data = path_of(run, 3).read_bytes()
    for place in range(0, len(data), 13):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        checkpoint = damage(run, flipped)
        assert len(checkpoint.state["rows"]) == 2, place
        assert str(path_of(run, 3)) in checkpoint.refused[0]
    assert len(damage(run, data).state["rows"]) == 3


def test_foreign_ones_are_refused_by_name(run, tmp_path_factory):
    weights = safetensors.numpy.save({"w": np.zeros(3, np.float32)})
    (reason,) = damage(run, weights).refused
    assert reason == f"{path_of(run, 3)} is no checkpoint of minivit"
    other = tmp_path_factory.mktemp("other")
    begin_checkpoints(other, {"options": {"seed": 4, "augment": ["flip"]}}, progress_of(3))
    (reason,) = damage(run, path_of(other, 3).read_bytes()).refused
    assert reason.endswith(" is of another run, which was started with other settings")
    path_of(run, 3).unlink()
    path_of(run, 3).mkdir()
    assert "is damaged (" in load_checkpoint(run).refused[0]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"started": 1}', '{"started": 1, "state": 2}'])
def test_a_forged_one_with_the_right_sum_is_refused_by_name(run, text):
    arrays = {"weights": np.zeros(3, np.float32)}
    metadata = {"minivit": text, "sha256": checkpoint_module._sum(arrays, text)}
    (reason,) = damage(run, safetensors.numpy.save(arrays, metadata)).refused
    assert reason.startswith(f"{path_of(run, 3)} is no checkpoint of minivit (")


def test_without_a_good_one_all_are_named(run):
    for number in (2, 3):
        path_of(run, number).write_bytes(b"")
    with pytest.raises(ValueError) as refusal:
        load_checkpoint(run)
    for part in (
        "has no checkpoint to go on from",
        path_of(run, 2),
        path_of(run, 3),
        "Start a new",
    ):
        assert str(part) in str(refusal.value)
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(ValueError, match="to go on from: there is none"):
        load_checkpoint(run)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xff", b'{"options": 1'])
def test_a_damaged_training_json_is_named(run, text):
    write_file(run / "training.json", text)
    with pytest.raises(ValueError, match="training.json is damaged: "):
        load_checkpoint(run)


def test_refuses_a_folder_that_is_no_run(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match="is no run that can go on: it has no training"):
            load_checkpoint(folder)


def test_refuses_a_state_of_another_model(run):
    with pytest.raises(ValueError, match=r"'best_weights' is float32 \(10,\) in the state"):
        progress_of(size=6).load_state(load_checkpoint(run).state)


def test_nothing_is_pickled(run):
    data = path_of(run, 3).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert json.loads(header["__metadata__"]["minivit"])["started"] == STARTED
