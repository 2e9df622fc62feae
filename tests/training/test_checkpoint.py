import json

import numpy as np
import pytest

import minivit
from minivit.training import Progress, load_checkpoint, save_checkpoint
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


def test_a_folder_in_the_place_of_one_is_in_nobodys_way(run):
    path_of(run, 9).mkdir()
    assert len(load_checkpoint(run).state["rows"]) == 3
    save_checkpoint(run, progress_of(4))
    assert [path_of(run, number).name for number in (3, 4, 9)] == names(run)


def damage(run, data):
    path_of(run, 3).write_bytes(data)
    return load_checkpoint(run)


def test_any_flipped_bit_is_noticed(run):
    data = path_of(run, 3).read_bytes()
    for place in range(0, len(data), 13):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        checkpoint = damage(run, flipped)
        assert len(checkpoint.state["rows"]) == 2, place
        assert str(path_of(run, 3)) in checkpoint.refused[0]
    assert len(damage(run, data).state["rows"]) == 3


def test_refuses_a_state_of_another_model(run):
    with pytest.raises(ValueError, match=r"'best_weights' is float32 \(10,\) in the state"):
        progress_of(size=6).load_state(load_checkpoint(run).state)


def test_nothing_is_pickled(run):
    data = path_of(run, 3).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert json.loads(header["__metadata__"]["minivit"])["started"] == STARTED


def test_parameters_that_are_not_finite_are_not_kept(run):
    before = sorted(path.name for path in (run / "checkpoints").iterdir())
    progress = progress_of(4)
    progress.params["w"][1, 2] = np.inf
    with pytest.raises(FloatingPointError, match="after 4 steps the parameter w is not finite"):
        save_checkpoint(run, progress)
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == before
