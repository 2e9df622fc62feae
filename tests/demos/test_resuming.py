"""Runs that were stopped or disturbed, and what is left to resume."""

import errno
import itertools
import os
import signal
import stat
from pathlib import Path

import pytest

import minivit
from demos import evaluate, train_mnist, training
from minivit.checksums import CHECKSUMS
from tests.data.idx import few_digits, write_digits
from tests.demos.digit_runs import (
    RESUME,
    RUN,
    TINY,
    assert_complete,
    assert_same,
    fit_module,
    last_error,
    press_ctrl_c_at,
    proposed,
    train_few,
)
from tests.samples import sample
from tests.training.cases import progress_of, run_of


@pytest.mark.usefixtures("untested")
def test_ctrl_c_stops_after_the_step_and_the_command_it_prints_resumes(folder, capsys, monkeypatch):
    assert train_few(folder, *TINY, "--epochs", "2", "--run", "whole") == 0
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, 14)
        assert train_few(folder, *TINY, "--epochs", "2", "--run", "two parts") == 130
    _, message, resume = last_error(capsys).partition("train_mnist: stopped and saved after 15 ")
    assert message and resume.startswith("steps. To resume: ")
    options = proposed(resume, "train_mnist")
    assert options == ["--resume", "runs/two parts"]
    for _ in range(2):  # the second time, nothing is left to do
        assert train_mnist.main(options) == 0
        assert_same("runs/two parts", "runs/whole")
    printed = capsys.readouterr().out
    assert "It resumes at step 15." in printed and "It resumes at step 22." in printed


def test_ctrl_c_before_there_is_a_run(folder, capsys, monkeypatch):
    monkeypatch.setattr(minivit, "load_digits", lambda _: signal.raise_signal(signal.SIGINT))
    assert train_few(folder) == 130
    assert capsys.readouterr().err == "\ntrain_mnist: stopped\n"


def test_after_ctrl_c_during_the_final_test_only_the_test_is_left(folder, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(training, "metrics", lambda *_: signal.raise_signal(signal.SIGINT))
        assert train_few(folder, *TINY) == 130
    assert proposed(last_error(capsys)[len("train_mnist: ") :], "train_mnist") == RESUME
    weights = (RUN / "weights.safetensors").read_bytes()
    assert not (RUN / "result.json").exists()
    monkeypatch.setattr(fit_module, "loss_and_gradients", None)  # no step is left
    assert train_mnist.main(RESUME) == 0
    assert_complete(RUN)
    assert (RUN / "weights.safetensors").read_bytes() == weights


def test_a_run_is_trained_by_one_process_at_a_time(folder, capsys, monkeypatch):
    real_metrics, second = training.metrics, []

    def metrics(*arguments):  # until the end of the final test
        second.append(train_mnist.main(RESUME))
        return real_metrics(*arguments)

    monkeypatch.setattr(training, "metrics", metrics)
    for start in (lambda: train_few(folder, *TINY), lambda: train_mnist.main(RESUME)):
        assert start() == 0
        (message,) = [line for line in capsys.readouterr().err.splitlines() if "mnist:" in line]
        assert message == (
            "train_mnist: another process is at work in runs/mnist; wait until it ends, or stop it"
        )
    assert second == [2, 2]


@pytest.mark.usefixtures("untested")
def test_says_which_checkpoint_is_damaged_and_resumes_from_the_one_before(folder, capsys):
    assert train_few(folder, *TINY, "--checkpoint-every", "4") == 0
    newest = max((RUN / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:-1])
    assert train_mnist.main(RESUME) == 0
    printed = capsys.readouterr()
    assert f"train_mnist: not used: {newest} is damaged" in printed.err
    assert "It resumes at step 8." in printed.out


@pytest.mark.slow
@pytest.mark.parametrize("write", sample(range(1, 17), 3))
def test_a_full_disk_ends_a_run_in_one_line_and_with_room_it_resumes(
    folder, capsys, monkeypatch, write
):
    """At every file that a run of one epoch writes, those of the final test too."""
    real, calls = os.fsync, itertools.count(1)

    def full(descriptor):
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and next(calls) == write:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert train_few(folder, *TINY, "--checkpoint-every", "6") == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith("train_mnist: [Errno 28] No space left on device: 'runs/")
    if write <= 3:  # before there is a run
        assert [path.name for path in Path("runs").iterdir()] == [".lock"]
    else:
        assert "What runs/mnist holds is still good. To resume: " in message
        assert message.endswith(" -m demos.train_mnist --resume runs/mnist")
        assert train_mnist.main(RESUME) == 0
        assert {path.name for path in Path("runs").glob("**/.*")} == {".lock"}
        assert_complete(RUN)


@pytest.mark.usefixtures("untested")
def test_refuses_to_resume_with_other_images(folder, capsys):
    assert train_few(folder, *TINY) == 0
    few_digits(folder, train=239)
    assert train_mnist.main(RESUME) == 2
    assert "runs/mnist was started with preparation.mean 0." in last_error(capsys)


@pytest.mark.usefixtures("untested")
def test_refuses_to_resume_with_the_same_images_and_another_label(folder, capsys):
    assert train_few(folder, *TINY) == 0
    data = minivit.load_digits(folder)
    labels = data.train.labels.copy()
    labels[17] = (labels[17] + 1) % 10
    write_digits(folder, (data.train.images, labels), data.test)
    assert train_mnist.main(RESUME) == 2
    assert "runs/mnist was started with data.sha256 " in last_error(capsys)


def test_a_finished_run_that_is_resumed_repairs_what_is_damaged(folder, capsys):
    assert train_few(folder, *TINY) == 0
    repaired = ("weights.safetensors", "config.json", "result.json", "curves.png")
    whole = [(RUN / name).read_bytes() for name in repaired]
    for name in repaired:
        (RUN / name).write_bytes(whole[0][::-1])
    assert evaluate.main([str(RUN)]) == 2
    assert last_error(capsys).startswith("evaluate: runs/mnist/config.json is damaged: ")
    assert train_mnist.main(RESUME) == 0
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "train_mnist" in line]
    assert said.startswith("train_mnist: not used: runs/mnist/config.json is damaged: ")
    assert [(RUN / name).read_bytes() for name in repaired] == whole
    assert evaluate.main([str(RUN)]) == 0


@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("untested")
def test_a_run_of_an_earlier_version_is_asked_with_a_note_in_a_line(folder, capsys):
    assert train_few(folder, *TINY) == 0
    (RUN / CHECKSUMS).unlink()
    capsys.readouterr()
    assert evaluate.main([str(RUN), "--json"]) == 0
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == (
        "evaluate: runs/mnist has no checksums.json, as it is of an earlier version: damage to its "
        "files would not be noticed"
    )
    assert not any("checksums" in line for line in rest)


@pytest.mark.usefixtures("untested")
def test_a_damaged_training_json_is_not_used_to_evaluate(folder, capsys):
    assert train_few(folder, *TINY) == 0
    path = RUN / "training.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    assert evaluate.main([str(RUN)]) == 2
    assert last_error(capsys).startswith("evaluate: runs/mnist/training.json is damaged or was ed")


def test_refuses_to_resume_what_another_demo_started(folder, capsys):
    for options in ("none", None, [], {"epochs": 1}):
        run = run_of("runs", progress_of(), started={"options": options}, epochs=1)
        assert train_mnist.main(["--resume", str(run)]) == 2
        message = last_error(capsys)
        assert message == f"train_mnist: {run} was started by another demo, or another version"


@pytest.mark.parametrize("more", [["--epochs", "20"], ["--recipe", "quick"], ["--seed", "1"]])
def test_a_run_that_is_resumed_takes_no_other_settings(capsys, more):
    with pytest.raises(SystemExit) as stop:
        train_mnist.arguments([*RESUME, *more])
    assert stop.value.code == 2
    message = "--resume takes the settings of the run; give no others but --device"
    assert message in capsys.readouterr().err
    assert train_mnist.arguments([*RESUME, "--device", "auto"]).resume == str(RUN)
