import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

import minivit
from minivit.training import Run
from minivit.training.interrupt import AtOnce
from minivit.training.rows import read_rows
from tests.training.cases import OPTIONS, bright_or_dark, progress_of, resumed, run_of

STARTED = {"options": {"seed": 1, "size": (4, 6)}, "images": {"mean": 0.1}}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def start(name, root, started=STARTED):
    with Run.start(name, started, progress_of(), root) as run:
        return run.folder


def test_a_run_keeps_everything_that_it_takes_to_resume_it_and_to_ask_it(tmp_path):
    whole = progress_of(ema=True)
    folder = run_of(tmp_path, whole)
    assert folder == tmp_path / "tiny"
    assert set(names(folder)) - {".lock"} == {
        "checkpoints", "checksums.json", "config.json", "metrics.csv", "training.json",
        "weights.safetensors",
    }  # fmt: skip
    best = minivit.Classifier.load(folder)
    np.testing.assert_array_equal(best.params.flat, whole.best.flat)
    assert read_rows(folder / "metrics.csv", 9, whole.rows_sum) == whole.rows
    progress, refused = resumed(folder, ema=True, seed=1)
    assert (refused, progress.rows) == ([], whole.rows)
    np.testing.assert_equal(progress.state(), whole.state())
    assert progress.params.named()[0][1].base is progress.params.flat


@pytest.mark.parametrize("stopped_at", [2, 6])
def test_a_stopped_run_resumes_to_the_last_bit(tmp_path, stopped_at):
    whole, stopped, progress = progress_of(), progress_of(), progress_of(seed=1)
    run_of(tmp_path / "whole", whole)

    def press(rate, *arguments, **options):
        if stopped.steps == stopped_at:
            signal.raise_signal(signal.SIGINT)
        return minivit.warmup_linear(rate, *arguments, **options)

    message = f"^stopped and saved after {stopped_at + 1} steps$"
    with pytest.raises(KeyboardInterrupt, match=message):
        run_of(tmp_path, stopped, schedule=press)
    with Run.open(tmp_path / "tiny") as run:
        assert run.resume(progress, {"seed": 3}) == []
        assert progress.rows == whole.rows[: stopped_at + 1]
        run.fit(progress, *bright_or_dark(), checkpoint_every=4, **OPTIONS)
    for name in ("weights.safetensors", "config.json", "metrics.csv"):
        left, right = tmp_path / "whole" / "tiny" / name, tmp_path / "tiny" / name
        assert left.read_bytes() == right.read_bytes(), name
    assert names(tmp_path / "tiny" / "checkpoints")[-1] == "step-00000009.safetensors"


def press_in_step(number, times=1):
    """A schedule in which Ctrl-C is pressed so often in a step."""

    def press(step, **options):
        if step == number:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return minivit.warmup_linear(step, **options)

    return press


def test_ctrl_c_during_the_last_save_waits_for_it(tmp_path, monkeypatch):
    progress, save = progress_of(), Run.save

    def pressed(self, progress):
        signal.raise_signal(signal.SIGINT)
        save(self, progress)

    with Run.start("tiny", {}, progress, tmp_path) as run:
        monkeypatch.setattr(Run, "save", pressed)
        with pytest.raises(KeyboardInterrupt, match="^stopped and saved after 2 steps$"):
            run.fit(
                progress, *bright_or_dark(), checkpoint_every=9, **OPTIONS,
                schedule=press_in_step(1),
            )  # fmt: skip
    assert names(run.folder / "checkpoints")[-1] == "step-00000002.safetensors"


def test_ctrl_c_pressed_again_stops_at_once_and_saves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("minivit.training.interrupt.NERVOUS", -1)
    with pytest.raises(AtOnce, match="^stopped at once, without saving$"):
        run_of(tmp_path, progress_of(), schedule=press_in_step(1, times=2))
    progress, _ = resumed(tmp_path / "tiny")
    assert progress.steps == 1


def test_from_an_older_checkpoint_the_rows_that_follow_are_made_again(tmp_path):
    whole = progress_of()
    folder = run_of(tmp_path, whole)
    newest = folder / "checkpoints" / "step-00000009.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    with open(folder / "metrics.csv", "a") as file:
        file.write("9,4,0.1")  # torn
    progress, (reason,) = resumed(folder)
    assert f"{newest} is damaged" in reason
    assert progress.rows == whole.rows[:8]
    assert len((folder / "metrics.csv").read_text().splitlines()) == 1 + 8


def test_a_checkpoint_does_not_grow_with_the_number_of_steps(tmp_path):
    progress = progress_of()
    with Run.start("long", STARTED, progress, tmp_path) as run:
        sizes = []
        for steps in (10, 3000):
            row = dict.fromkeys(["loss", "validation_loss"], 0.1)
            progress.rows += [row] * (steps - progress.steps)
            progress.steps = steps
            run.save(progress)
            path = run.folder / "checkpoints" / f"step-{steps:08}.safetensors"
            sizes.append(path.stat().st_size)
    assert abs(sizes[1] - sizes[0]) <= 8  # bytes


def test_a_run_is_resumed_only_with_what_it_was_started_with(tmp_path):
    folder = start("mnist", tmp_path)
    again = progress_of(seed=1)
    with Run.open(folder) as run:
        message = "mnist was started with images.mean 0.1, which is now 0.2; put back what it was"
        with pytest.raises(ValueError, match=message):
            run.resume(again, STARTED | {"images": {"mean": 0.2}})
        with pytest.raises(ValueError, match="with images.count nothing, which is now x{80}; put"):
            run.resume(again, STARTED | {"images": {"mean": 0.1, "count": "x" * 1000}})
        assert run.resume(again, STARTED) == []  # a tuple is as good as JSON's list
        np.testing.assert_array_equal(again.params.flat, progress_of().params.flat)
        with pytest.raises(ValueError, match="'best_weights' as float32"):
            run.resume(progress_of(dim=8), STARTED)


def test_a_run_is_read_without_a_lock_and_opened_by_one_at_a_time(tmp_path):
    folder = start("mnist", tmp_path)
    with Run.open(folder):
        run = Run.read(folder)
        assert (run.folder, run.started["options"]) == (folder, {"seed": 1, "size": [4, 6]})
        with pytest.raises(OSError, match="another process is at work in"), Run.open(folder):
            raise AssertionError
    with (
        Run.start("mnist", STARTED, progress_of(), tmp_path) as run,
        pytest.raises(OSError, match="another process is at work in .*/mnist-2; wait"),
        Run.open(run.folder),
    ):
        raise AssertionError


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [flip_a_bit, empty, Path.unlink])
@pytest.mark.parametrize("name", ["checksums.json", "config.json", "weights.safetensors"])
def test_a_run_that_is_resumed_repairs_what_is_damaged(tmp_path, name, spoil):
    folder = run_of(tmp_path, progress_of())
    repaired = ("config.json", "metrics.csv", "training.json", "weights.safetensors")
    whole = [(folder / each).read_bytes() for each in repaired]
    spoil(folder / name)
    _, said = resumed(folder)
    if (name, spoil) == ("checksums.json", Path.unlink):  # as in a run of an earlier version
        assert said == []
    else:
        (reason,) = said
        assert name in reason
    assert [(folder / each).read_bytes() for each in repaired] == whole
    minivit.Classifier.load(folder)
    assert resumed(folder)[1] == []


def test_a_damaged_training_json_is_refused_before_it_is_used(tmp_path):
    folder = run_of(tmp_path, progress_of(), started={"options": {"seed": 3}})
    path = folder / "training.json"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"3", b"7"))
    message = (
        "step-00000009.safetensors belongs to a run that was started with another training.json"
    )
    with pytest.raises(ValueError, match=f"{message}.*Put back what"), Run.open(folder):
        raise AssertionError
    path.write_bytes(whole.replace(b"{", b"[", 1))
    with pytest.raises(ValueError, match="training.json is damaged.*Put back a good copy"):
        Run.read(folder)


def test_damaged_rows_are_refused(tmp_path):
    folder = run_of(tmp_path, progress_of())
    path = folder / "metrics.csv"
    path.write_bytes(path.read_bytes().replace(b"\n1,1,", b"\n1,3,"))
    with pytest.raises(ValueError, match="metrics.csv is damaged or was edited.*Put it back"):
        resumed(folder)


def test_at_any_moment_the_classifier_that_is_there_is_not_refused(tmp_path, monkeypatch):
    """Nor is it if the process is killed at that moment."""
    replace, loaded = os.replace, []

    def watched(*paths):
        replace(*paths)
        if Path(tmp_path, "tiny", "config.json").exists():
            loaded.append(minivit.Classifier.load(tmp_path / "tiny").params.flat)

    monkeypatch.setattr(os, "replace", watched)
    run_of(tmp_path, progress_of())
    assert len(loaded) > 10
    assert (loaded[0] != loaded[-1]).any()


def test_parameters_that_are_not_finite_are_not_saved(tmp_path):
    folder, progress = start("mnist", tmp_path), progress_of()
    progress.params["head"]["w"][1, 1] = np.inf
    progress.steps = 4
    message = "after 4 steps the parameter head.w is not finite, so no checkpoint is written"
    with pytest.raises(FloatingPointError, match=message):
        Run.read(folder).save(progress)
    assert names(folder / "checkpoints") == ["step-00000000.safetensors"]


def test_no_run_is_overwritten_nor_anything_else(tmp_path):
    (tmp_path / "mnist-2").write_text("a file")
    assert [start("mnist", tmp_path).name for _ in range(3)] == ["mnist", "mnist-3", "mnist-4"]
    assert (tmp_path / "mnist-2").read_text() == "a file"
    assert (tmp_path / "mnist").stat().st_mode & 0o777 == 0o755


def test_a_run_has_its_name_once_its_first_files_are_there(tmp_path, monkeypatch):
    def full(run, _):
        assert (run.folder / "training.json").is_file()
        assert not (tmp_path / "mnist").exists()
        raise OSError("full")

    monkeypatch.setattr(Run, "save", full)
    with pytest.raises(OSError, match="full"):
        start("mnist", tmp_path)
    assert set(names(tmp_path)) <= {".lock"}


def test_what_a_killed_start_left_is_removed_but_nothing_of_one_that_is_starting(
    tmp_path, monkeypatch
):
    (tmp_path / ".mnist.killed.aside").mkdir()
    (tmp_path / ".mnist.killed.aside" / "training.json").write_text("{")
    (tmp_path / ".mine").mkdir()
    begun, may_end, save = threading.Event(), threading.Event(), Run.save

    def slow_save(run, progress):
        if ".slow." in run.folder.name:
            begun.set()
            assert may_end.wait(10)
        save(run, progress)

    monkeypatch.setattr(Run, "save", slow_save)
    slow, fast = (threading.Thread(target=start, args=(n, tmp_path)) for n in ("slow", "fast"))
    slow.start()
    assert begun.wait(10)
    fast.start()
    fast.join(0.2)
    may_end.set()
    slow.join()
    fast.join()
    assert set(names(tmp_path)) - {".lock"} == {".mine", "fast", "slow"}
    assert (tmp_path / "slow" / "training.json").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp/x", ".mine.aside", ".lock"])
def test_refuses_names_that_lead_elsewhere_or_are_of_unfinished_files(tmp_path, name):
    with pytest.raises(ValueError, match="a run's name is a plain folder name"):
        start(name, tmp_path)
