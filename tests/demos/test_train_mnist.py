import errno
import itertools
import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import minivit
from demos import train_mnist, training, training_options
from minivit.data import download
from minivit.data.augment import Augmentation
from minivit.data.normalize import Normalize
from minivit.training import Progress, load_checkpoint, load_run
from minivit.training.checkpoint import begin_checkpoints
from minivit.training.step import cores
from tests.data.idx import few_digits

ROOT = Path(__file__).parent.parent.parent
TINY = ["--dim", "12", "--depth", "1", "--heads", "3", "--mlp-dim", "8", "--patch-size", "14"]
fit_module = sys.modules["minivit.training.fit"]  # `minivit.training.fit` is the function


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return few_digits(tmp_path / "digits")


def demo(folder, *options):
    usual = ["--data", str(folder), "--epochs", "1", "--batch-size", "20", "--shards", "1"]
    return train_mnist.main([*usual, *options])


def assert_complete(run):
    """All files of a run that ended are there, and something is drawn on the pictures."""
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoints", "config.json", "curves.png", "gradients.png", "metrics.csv", "mistakes.png",
        "result.json", "training.json", "weights.safetensors",
    ]  # fmt: skip
    for picture in run.glob("*.png"):
        assert cv2.imread(str(picture)).std() > 5


def test_leaves_a_complete_run(folder, capsys):
    assert demo("digits", "--run", "few", "--seed", "3") == 0
    printed = capsys.readouterr().out
    run = Path("runs/few")
    assert_complete(run)
    result = json.loads((run / "result.json").read_text())
    assert result.keys() == {
        "test_accuracy", "test_loss", "train_seconds", "images_per_second", "parameters", "seed",
        "device", "options", "test",
    }  # fmt: skip
    assert (result["parameters"], result["seed"]) == (138_890, 3)
    assert result["options"]["data"] == str(folder)  # to go on from any folder
    assert result["options"]["augment"] == ["shift=2", "rotation=10", "scale=0.1"]
    assert f"Test accuracy {result['test_accuracy']:.2%}" in printed
    assert "Saved in runs/few/: checkpoints, config.json" in printed
    assert result["test"]["accuracy"] == result["test_accuracy"]
    assert result["test"]["classes"].keys() == {str(digit) for digit in range(10)}
    model, params, _, classes = load_run(run)
    assert params.flat.size == 138_890
    assert classes == [str(digit) for digit in range(10)]
    assert model.config["patch_size"] == 7

    matrix = [line.split() for line in printed.splitlines() if re.match(r"^ +\d( +\d+){10}$", line)]
    assert [row[0] for row in matrix] == classes
    counts = [[int(count) for count in row[1:]] for row in matrix]
    assert sum(map(sum, counts)) == 50
    right = sum(counts[i][i] for i in range(10))
    assert right / 50 == pytest.approx(result["test_accuracy"])


def test_the_command_it_proposes_can_be_run(folder, capsys):
    demo(folder)
    python, _, proposed = (
        capsys.readouterr()
        .out.splitlines()[-1]
        .partition(": ")[2]
        .partition(" -m demos.train_mnist ")
    )
    assert Path(python).samefile(sys.executable)
    options = train_mnist.arguments(proposed.split())
    assert (options.pool, options.patch_size, options.data) == ("cls", 4, str(folder))
    assert demo(folder, *proposed.split()) == 0


def test_trains_on_one_part_watches_another_and_tests_once(folder, monkeypatch):
    data = minivit.load_digits(folder)
    seen = {"fits": [], "tests": []}

    def fit(folder, model, progress, train, validation, prepare, **options):
        seen["fits"].append((progress.optimizer, train, validation, prepare, options))
        return real_fit(folder, model, progress, train, validation, prepare, **options)

    def evaluate(model, params, split, *rest):
        seen["tests"].append(split)
        return real_evaluate(model, params, split, *rest)

    real_fit, real_evaluate = training.fit_run, training.evaluate
    monkeypatch.setattr(training, "fit_run", fit)
    monkeypatch.setattr(training, "evaluate", evaluate)
    demo(folder, "--seed", "5", "--lr", "0.004")

    ((optimizer, train, validation, prepare, options),) = seen["fits"]
    parts = [[image.tobytes() for image in split.images] for split in (train, validation)]
    assert (len(parts[0]), len(parts[1])) == (220, 20)
    assert sorted(parts[0] + parts[1]) == sorted(image.tobytes() for image in data.train.images)
    assert prepare == Normalize.of(train.images)
    assert (type(optimizer), optimizer.lr) == (minivit.Muon, 0.004)
    assert options["augment"] == Augmentation(shift=2, rotation=10, scale=0.1)
    assert train_mnist.arguments([]).shards == cores()
    assert (options["seed"], options["epochs"], options["batch_size"]) == (5, 1, 20)
    (tested,) = seen["tests"]
    np.testing.assert_array_equal(tested.images, data.test.images)


def test_a_data_set_with_two_test_images(folder):
    assert demo(few_digits(folder, train=5, test=2)) == 0


def press_ctrl_c_at(monkeypatch, step):
    """As if a person pressed it in the middle of a step."""
    real = fit_module.loss_and_gradients
    calls = itertools.count()

    def pressed(*arguments, **options):
        if next(calls) == step:
            signal.raise_signal(signal.SIGINT)
        return real(*arguments, **options)

    monkeypatch.setattr(fit_module, "loss_and_gradients", pressed)


def weights(folder):
    return Path(folder, "weights.safetensors").read_bytes()


def test_ctrl_c_stops_after_the_step_and_the_command_it_prints_goes_on(folder, capsys, monkeypatch):
    assert demo(folder, *TINY, "--epochs", "2", "--run", "whole") == 0
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, 14)
        assert demo(folder, *TINY, "--epochs", "2", "--run", "two parts") == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("train_mnist: stopped and saved after 15 steps. Go on: ")
    python, _, module, *options = shlex.split(said.partition("Go on: ")[2])
    assert Path(python).samefile(sys.executable)
    assert (module, options) == ("demos.train_mnist", ["--resume", "runs/two parts"])
    assert weights("runs/two parts") != weights("runs/whole")  # of the first epoch
    assert train_mnist.main(options) == 0
    assert "begins at step 15." in capsys.readouterr().out
    assert weights("runs/two parts") == weights("runs/whole")
    for name in ("metrics.csv", "config.json"):
        assert Path("runs/two parts", name).read_bytes() == Path("runs/whole", name).read_bytes()
    assert train_mnist.main(options) == 0  # once more, when there is nothing left to do
    assert weights("runs/two parts") == weights("runs/whole")


def test_ctrl_c_before_there_is_a_run(folder, capsys, monkeypatch):
    monkeypatch.setattr(minivit, "load_digits", lambda _: signal.raise_signal(signal.SIGINT))
    assert demo(folder) == 130
    assert capsys.readouterr().err == "\ntrain_mnist: stopped\n"


def test_ctrl_c_during_the_final_test_says_how_to_go_on_and_then_only_the_test_is_done(
    folder, capsys, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(training, "evaluate", lambda *_: signal.raise_signal(signal.SIGINT))
        assert demo(folder, *TINY) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("train_mnist: stopped. Go on: ")
    kept = weights("runs/mnist")
    assert not Path("runs/mnist/result.json").exists()
    monkeypatch.setattr(fit_module, "loss_and_gradients", None)  # no step is left
    assert train_mnist.main(shlex.split(said)[-2:]) == 0
    assert "begins at step 11." in capsys.readouterr().out
    assert json.loads(Path("runs/mnist/result.json").read_text())["test"]["classes"]
    assert weights("runs/mnist") == kept


@pytest.mark.parametrize("resumed", [False, True])
def test_a_run_is_trained_by_one_process_at_a_time(folder, capsys, monkeypatch, resumed):
    if resumed:
        assert demo(folder, *TINY) == 0
    real_evaluate, second = training.evaluate, []

    def evaluate(*arguments):  # until the end of the final test
        second.append(train_mnist.main(["--resume", "runs/mnist"]))
        return real_evaluate(*arguments)

    monkeypatch.setattr(training, "evaluate", evaluate)
    assert (train_mnist.main(["--resume", "runs/mnist"]) if resumed else demo(folder, *TINY)) == 0
    assert second == [2]
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "train_mnist:" in line]
    assert said == (
        "train_mnist: another process is at work in runs/mnist; wait until it ends, or stop it"
    )


def test_goes_on_from_the_checkpoint_before_if_the_newest_is_damaged(folder, capsys):
    assert demo(folder, *TINY, "--checkpoint-every", "4") == 0
    kept = weights("runs/mnist")
    before, newest = sorted(Path("runs/mnist/checkpoints").iterdir())
    assert (before.stem, newest.stem) == ("step-00000008", "step-00000011")
    newest.write_bytes(newest.read_bytes()[:-1])
    assert train_mnist.main(["--resume", "runs/mnist"]) == 0
    printed = capsys.readouterr()
    assert f"train_mnist: not used: {newest} is damaged" in printed.err
    assert "begins at step 8." in printed.out
    assert weights("runs/mnist") == kept


def test_early_stopping_tests_and_keeps_the_best_weights(folder, capsys, monkeypatch):
    losses, tested = iter([3.0, 1.0, 2.0, 2.0]), []

    def evaluate(model, params, *rest):
        tested.append(params.flat)
        return real_evaluate(model, params, *rest)

    real_evaluate = training.evaluate
    monkeypatch.setattr(fit_module, "evaluate", lambda *_: (next(losses), 0.5, None))
    monkeypatch.setattr(training, "evaluate", evaluate)
    assert demo(folder, *TINY, "--epochs", "9", "--patience", "2") == 0
    assert "no lower validation loss in 2 epochs: stopped early" in capsys.readouterr().out
    state = load_checkpoint("runs/mnist").state
    assert len(state["rows"]) == 4 * 11
    assert (state["best_weights"] != state["weights"]).any()
    np.testing.assert_array_equal(tested, [state["best_weights"]])
    np.testing.assert_array_equal(load_run("runs/mnist")[1].flat, state["best_weights"])


def test_what_is_not_finite_is_named_and_what_was_saved_stays(folder, capsys):
    assert demo(folder, "--optimizer", "sgd", "--lr", "1e30") == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("train_mnist: at step 1 the loss is ")
    assert said.endswith("Try a lower learning rate. What runs/mnist holds is still good")
    assert load_checkpoint("runs/mnist").state["rows"] == []


@pytest.mark.slow
@pytest.mark.parametrize("write", range(1, 12))
def test_a_full_disk_ends_in_one_line_and_once_there_is_room_it_goes_on(
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
        assert demo(folder, *TINY, "--checkpoint-every", "6") == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("train_mnist: [Errno 28] No space left on device: 'runs/")
    if write <= 2:  # before there is a run
        assert list(Path("runs").iterdir()) == []
    else:
        assert "What runs/mnist held is still good. Then go on: " in said
        assert said.endswith(" -m demos.train_mnist --resume runs/mnist")
        assert train_mnist.main(["--resume", "runs/mnist"]) == 0
        assert not list(Path("runs").glob("**/.*"))
        load_run("runs/mnist")
        assert Path("runs/mnist/result.json").is_file()


def test_where_no_run_can_be_kept(folder, capsys):
    Path("runs").write_text("not a folder")
    assert demo(folder, *TINY) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("train_mnist: [Errno 17] File exists: 'runs'")


def test_refuses_to_go_on_with_other_images(folder, capsys):
    assert demo(folder, *TINY) == 0
    few_digits(folder, train=239)
    capsys.readouterr()
    assert train_mnist.main(["--resume", "runs/mnist"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "runs/mnist was started with the preparation {'mean': " in said


@pytest.mark.parametrize("options", ["none", None, [], {"epochs": 1}])
def test_refuses_to_go_on_with_what_another_demo_started(folder, capsys, options):
    assert demo(folder, *TINY) == 0
    started = json.loads(Path("runs/mnist/training.json").read_text())
    progress = Progress(params := minivit.Params({"w": np.zeros(3)}), minivit.SGD(params, 0.1))
    started["options"] = options
    begin_checkpoints("runs/mnist", started, progress)
    capsys.readouterr()
    assert train_mnist.main(["--resume", "runs/mnist"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "train_mnist: runs/mnist was started by another demo, or another version"


def test_a_run_that_is_resumed_takes_no_other_settings(capsys):
    with pytest.raises(SystemExit) as stop:
        train_mnist.arguments(["--resume", "runs/mnist", "--epochs", "20"])
    assert stop.value.code == 2
    assert (
        "--resume goes on with the settings of the run; give no others" in capsys.readouterr().err
    )


@pytest.mark.parametrize("optimizer", training_options.OPTIMIZERS)
def test_every_optimizer_and_the_model_options(folder, optimizer):
    options = [*TINY, "--lr", "0.01", "--run", "tiny", "--optimizer", optimizer]
    assert demo(folder, *options) == 0
    assert demo(folder, *options) == 0
    model, _, _, _ = load_run("runs/tiny-2")  # the first was not overwritten
    assert (model.config["dim"], model.config["depth"], model.config["heads"]) == (12, 1, 3)


def test_augmentation_dropout_and_shards_as_asked_for(folder, monkeypatch):
    seen, real_fit = [], training.fit_run

    def fit(folder, model, *rest, **options):
        seen.append((model.config["dropout"], model.config["drop_path"], options))
        return real_fit(folder, model, *rest, **options)

    monkeypatch.setattr(training, "fit_run", fit)
    asked = ["--augment", "scale=0.2", "flip", "--dropout", "0.1", "--drop-path", "0.2"]
    assert demo(folder, *asked, "--shards", "3") == 0
    assert demo(folder, "--augment") == 0
    (dropout, drop_path, options), (_, _, without) = seen
    assert (dropout, drop_path, options["shards"]) == (0.1, 0.2, 3)
    assert options["augment"] == Augmentation(scale=0.2, flip=True)
    assert without["augment"] == Augmentation()


def test_fashion_mnist_has_its_own_recipe(folder, monkeypatch, capsys):
    monkeypatch.setattr(download, "fashion_mnist_folder", lambda: folder)
    monkeypatch.setattr(download, "FASHION_SUMS", {})
    assert demo("fashion-mnist") == 0
    assert "Trouser" in capsys.readouterr().out
    assert load_run("runs/fashion")[3] == download.FASHION_CLASSES
    recipe = train_mnist.arguments(["--data", "fashion-mnist"])
    assert (recipe.augment, recipe.drop_path) == (["shift=1", "flip"], 0.1)
    assert train_mnist.arguments(["--data", "fashion-mnist", "--epochs", "3"]).epochs == 3


@pytest.mark.parametrize(
    "changes, message",
    [
        (["zoom=2"], "'zoom=2' is none of shift=PIXELS, rotation=DEGREES, scale=SHARE, flip"),
        (["flip=2"], "'flip=2' is none of"),
        (["shift"], "'shift': expected shift=NUMBER"),
        (["shift=inf"], "shift is a number of pixels"),
        (["shift=nan"], "shift is a number of pixels"),
        (["scale=2"], "scale is a share"),
    ],
)
def test_refuses_changes_that_it_does_not_know(capsys, changes, message):
    with pytest.raises(SystemExit):
        train_mnist.arguments(["--augment", *changes])
    assert f"--augment: {message}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, message",
    [
        (["--heads", "5"], "dim 64 is not divisible by heads 5"),
        (["--patch-size", "5"], "cannot be cut into patches of 5 x 5"),
        (["--depth", "0"], "depth must be at least 1, got 0"),
        (["--dropout", "1"], "dropout must be at least 0 and less than 1, got 1.0"),
        (["--drop-path=-0.1"], "drop_path must be at least 0 and less than 1, got -0.1"),
        (["--data", "nowhere"], "no data set at 'nowhere'"),
        (
            ["--resume", "runs/mnist"],
            "runs/mnist is no run that can go on: it has no training.json",
        ),
        (["--run", "a/b"], "a run's name is a plain folder name, got 'a/b'"),
    ],
)
def test_what_cannot_work_ends_in_one_line_and_status_2(folder, capsys, options, message):
    options = options if "--resume" in options else ["--data", str(folder), *options]
    assert train_mnist.main(options) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("train_mnist: ")
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "option",
    [
        "--epochs=0",
        "--batch-size=-1",
        "--lr=0",
        "--lr=nan",
        "--seed=-1",
        "--shards=0",
        "--patience=0",
        "--checkpoint-every=0",
    ],
)
def test_refuses_options_out_of_range(capsys, option):
    with pytest.raises(SystemExit) as stop:
        train_mnist.arguments([option])
    assert stop.value.code == 2
    assert option.partition("=")[0] in capsys.readouterr().err


@pytest.mark.slow
def test_the_default_reaches_the_accuracy_that_the_readme_promises(tmp_path):
    """Full MNIST, as a newcomer runs it: one to three minutes."""
    command = [sys.executable, "-m", "demos.train_mnist"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    result = json.loads((tmp_path / "runs" / "mnist" / "result.json").read_text())
    assert result["test_accuracy"] >= 0.991
