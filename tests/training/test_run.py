import csv
import threading

import numpy as np
import pytest

import minivit
from minivit.training import Progress, load_checkpoint, new_run, open_run
from minivit.training.run import resumable
from tests.saved_runs import saved

ROWS = [
    dict(step=0, loss=2.3, validation_loss=None),
    dict(step=1, loss=1.5, validation_loss=1.6),
]


def test_metrics_are_a_table(tmp_path):
    saved(tmp_path, ROWS)
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


def test_what_a_killed_start_left_is_removed_but_nothing_of_one_that_is_starting(tmp_path):
    (tmp_path / ".mnist.killed.aside").mkdir()
    (tmp_path / ".mnist.killed.aside" / "training.json").write_text("{")
    (tmp_path / ".mine").mkdir()
    begun, go_on = threading.Event(), threading.Event()

    def begin(folder):
        begun.set()
        assert go_on.wait(10)
        (folder / "training.json").write_text("{}")

    slow = threading.Thread(target=new_run, args=("slow", tmp_path, begin))
    slow.start()
    assert begun.wait(10)
    fast = threading.Thread(target=new_run, args=("fast", tmp_path))
    fast.start()
    fast.join(0.2)
    go_on.set()
    slow.join()
    fast.join()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine", "fast", "slow"]
    assert (tmp_path / "slow" / "training.json").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp/x"])
def test_refuses_names_that_lead_elsewhere(tmp_path, name):
    with pytest.raises(ValueError, match="a run's name is a plain folder name"):
        new_run(name, tmp_path)


@pytest.mark.parametrize(
    "error, said",
    [
        (OSError("full"), "full. What runs/x held is still good. Then go on: COMMAND"),
        (
            MemoryError("none left"),
            "none left. What runs/x held is still good. Then go on: COMMAND",
        ),
        (FloatingPointError("nan"), "nan. What runs/x holds is still good"),
        (KeyboardInterrupt("stopped after 3"), "stopped after 3. Go on: COMMAND"),
    ],
)
def test_what_ends_a_run_early_says_how_to_go_on(error, said):
    with pytest.raises(type(error)) as told, resumable("runs/x", "COMMAND"):
        raise error
    assert str(told.value) == said
