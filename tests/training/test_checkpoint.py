import numpy as np
import pytest

from minivit.training.checkpoint import newest_checkpoint, write_checkpoint


def state(step):
    return {"weights": np.full((2, 3), step, np.float32), "t": step, "losses": [0.1, None]}


@pytest.fixture
def checkpoints(tmp_path):
    """A folder with checkpoints of step 2 and step 3."""
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, "mine", step, state(step))
    return tmp_path


def names(checkpoints):
    return sorted(path.stem for path in checkpoints.iterdir())


def test_the_newest_comes_back_to_the_last_bit(checkpoints):
    newest, refused = newest_checkpoint(checkpoints, "mine")
    assert refused == []
    np.testing.assert_equal(newest, state(3))
    assert newest["weights"].dtype == np.float32


def test_the_one_before_is_kept_until_the_next_is_whole(checkpoints, monkeypatch):
    before = names(checkpoints)
    assert before == ["step-00000002", "step-00000003"]
    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        write_checkpoint(checkpoints, "mine", 4, state(4))
    assert names(checkpoints) == before
    (checkpoints / ".step-00000004.safetensors.x.aside").write_bytes(b"left by a kill")
    write_checkpoint(checkpoints, "mine", 4, state(4))
    assert names(checkpoints) == ["step-00000003", "step-00000004"]


def test_a_damaged_one_is_replaced_and_a_folder_in_its_place_is_in_nobodys_way(checkpoints):
    (checkpoints / "step-00000008.safetensors").write_bytes(b"damaged")
    (checkpoints / "step-00000009.safetensors").mkdir()
    newest, refused = newest_checkpoint(checkpoints, "mine")
    assert (newest["t"], len(refused)) == (3, 2)
    write_checkpoint(checkpoints, "mine", 4, state(4))
    assert names(checkpoints) == ["step-00000003", "step-00000004", "step-00000009"]


def test_any_flipped_bit_is_noticed(checkpoints):
    path = checkpoints / "step-00000003.safetensors"
    data = path.read_bytes()
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        newest, (reason,) = newest_checkpoint(checkpoints, "mine")
        assert newest["t"] == 2, place
        assert str(path) in reason
