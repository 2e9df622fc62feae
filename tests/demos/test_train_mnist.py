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
from demos import evaluate, train_images, train_mnist, training, training_options
from minivit.checksums import CHECKSUMS
from minivit.data import download
from minivit.data.augment import Augmentation
from minivit.files import read_arrays
from minivit.threads import cores
from tests.data.idx import few_digits, write_digits
from tests.samples import sample
from tests.saved_runs import DIGITS
from tests.training.cases import progress_of, run_of

ROOT = Path(__file__).parent.parent.parent
TINY = ["--dim", "12", "--depth", "1", "--heads", "3", "--mlp-dim", "8", "--patch-size", "14"]
COMPLETE = [
    "checkpoints", "checksums.json", "config.json", "curves.png", "gradients.png", "metrics.csv",
    "mistakes.png", "result.json", "training.json", "weights.safetensors",
]  # fmt: skip
RUN = Path("runs", "mnist")
RESUME = ["--resume", str(RUN)]
fit_module = sys.modules["minivit.training.fit"]  # `minivit.training.fit` is the function


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return few_digits(tmp_path / "digits")


def demo(folder, *options):
    """A run of one epoch, 11 steps, unless told otherwise."""
    usual = ["--data", str(folder), "--epochs", "1", "--batch-size", "20", "--shards", "1"]
    return train_mnist.main([*usual, *options])


def assert_complete(run):
    """All files of a run that ended are there, and something is drawn on the pictures."""
    assert sorted(path.name for path in run.iterdir() if path.name != ".lock") == COMPLETE
    for picture in run.glob("*.png"):
        assert cv2.imread(str(picture)).std() > 5


def assert_same(left, right):
    """Two runs have the same model and metrics."""
    for name in ("weights.safetensors", "metrics.csv", "config.json"):
        assert Path(left, name).read_bytes() == Path(right, name).read_bytes(), name


def last_error(capsys):
    return capsys.readouterr().err.splitlines()[-1]


def proposed(line, demo):
    """The options of the command of a demo at the end of a line."""
    python, dash_m, module, *options = shlex.split(line.partition(": ")[2])
    assert Path(python).samefile(sys.executable)
    assert (dash_m, module) == ("-m", f"demos.{demo}")
    return options


def test_leaves_a_complete_run(folder, capsys):
    assert demo("digits", "--run", "few", "--seed", "3") == 0
    printed, run = capsys.readouterr().out, Path("runs/few")
    lines = printed.splitlines()
    assert lines[0].startswith("Training a Vision Transformer of 138,890 parameters: 220 images, 1")
    assert lines[0].endswith("on 1 process; 20 more validate it.")
    assert lines[1] == "The run is kept in runs/few/; Ctrl-C stops and saves it."
    assert proposed(lines[-1], "explore") == ["runs/few"]
    assert f"Saved in runs/few/: {', '.join(COMPLETE)}" in lines
    assert_complete(run)
    result = json.loads((run / "result.json").read_text())
    assert (result["parameters"], result["seed"]) == (138_890, 3)
    assert result["options"]["data"] == str(folder)  # to be resumed from any folder
    assert f"Test accuracy {result['test_accuracy']:.2%}" in printed
    assert result["test"]["accuracy"] == result["test_accuracy"]
    classifier = minivit.Classifier.load(run)
    assert (classifier.classes, classifier.model.config["patch_size"]) == (DIGITS, 7)
    matrix = [line.split() for line in lines if re.match(r"^ +\d( +\d+){10}$", line)]
    assert [row[0] for row in matrix] == DIGITS
    counts = [[int(count) for count in row[1:]] for row in matrix]
    assert counts == result["test"]["confusion_matrix"]
    assert np.trace(counts) / 50 == pytest.approx(result["test_accuracy"])


def test_trains_on_one_part_and_validates_on_the_other(folder, fits):
    assert demo(folder, "--seed", "5", "--lr", "0.004") == 0
    ((progress, train, validation, options),) = fits
    parts = [[image.tobytes() for image in split.images] for split in (train, validation)]
    assert (len(parts[0]), len(parts[1])) == (220, 20)
    data = minivit.load_digits(folder)
    assert sorted(parts[0] + parts[1]) == sorted(image.tobytes() for image in data.train.images)
    assert progress.classifier.normalize.mean == pytest.approx(train.images.mean() / 255)
    assert (type(progress.optimizer), progress.optimizer.lr) == (minivit.Muon, 0.004)
    assert options["augment"] == Augmentation(shift=2, rotation=10, scale=0.1)
    assert (options["seed"], options["epochs"], options["batch_size"]) == (5, 1, 20)


def test_trains_as_asked(folder, fits):
    asked = ["--augment", "scale=0.2", "flip", "--dropout", "0.1", "--drop-path", "0.2"]
    for optimizer in training_options.OPTIMIZERS:
        few = ["--keep-tokens", "0.5", "--shards", "3"]
        assert demo(folder, *TINY, *asked, *few, "--optimizer", optimizer) == 0
        progress, _, _, options = fits.pop()
        assert type(progress.optimizer).__name__.lower() == optimizer
        config = progress.classifier.model.config
        assert (config["dropout"], config["drop_path"], options["shards"]) == (0.1, 0.2, 3)
        assert (config["dim"], config["depth"], config["heads"]) == (12, 1, 3)
        assert options["augment"] == Augmentation(scale=0.2, flip=True)
        assert options["keep_tokens"] == 0.5
    assert demo(folder, *TINY, "--augment") == 0
    assert fits[0][3]["augment"] == Augmentation()
    assert train_mnist.arguments([]).shards == cores()


def test_fashion_mnist_has_its_own_recipe(folder, fits, monkeypatch):
    monkeypatch.setattr(download, "fashion_mnist_folder", lambda: folder)
    monkeypatch.setattr(download, "FASHION_SUMS", {})
    assert demo("fashion-mnist") == 0
    ((progress, _, _, options),) = fits
    assert progress.classifier.classes == download.FASHION_CLASSES
    assert progress.classifier.model.config["drop_path"] == 0.1
    assert options["augment"] == Augmentation(shift=1, flip=True)
    assert Path("runs/fashion").is_dir()


def test_a_data_set_with_two_test_images(folder):
    assert demo(few_digits(folder, train=5, test=2), *TINY) == 0


def press_ctrl_c_at(monkeypatch, step):
    """As if a person pressed it in the middle of a step."""
    real = fit_module.loss_and_gradients
    calls = itertools.count()

    def pressed(*arguments, **options):
        if next(calls) == step:
            signal.raise_signal(signal.SIGINT)
        return real(*arguments, **options)

    monkeypatch.setattr(fit_module, "loss_and_gradients", pressed)


@pytest.mark.usefixtures("untested")
def test_ctrl_c_stops_after_the_step_and_the_command_it_prints_resumes(folder, capsys, monkeypatch):
    assert demo(folder, *TINY, "--epochs", "2", "--run", "whole") == 0
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, 14)
        assert demo(folder, *TINY, "--epochs", "2", "--run", "two parts") == 130
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
    assert demo(folder) == 130
    assert capsys.readouterr().err == "\ntrain_mnist: stopped\n"


def test_after_ctrl_c_during_the_final_test_only_the_test_is_left(folder, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(training, "metrics", lambda *_: signal.raise_signal(signal.SIGINT))
        assert demo(folder, *TINY) == 130
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
    for start in (lambda: demo(folder, *TINY), lambda: train_mnist.main(RESUME)):
        assert start() == 0
        (message,) = [line for line in capsys.readouterr().err.splitlines() if "mnist:" in line]
        assert message == (
            "train_mnist: another process is at work in runs/mnist; wait until it ends, or stop it"
        )
    assert second == [2, 2]


@pytest.mark.usefixtures("untested")
def test_says_which_checkpoint_is_damaged_and_resumes_from_the_one_before(folder, capsys):
    assert demo(folder, *TINY, "--checkpoint-every", "4") == 0
    newest = max((RUN / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:-1])
    assert train_mnist.main(RESUME) == 0
    printed = capsys.readouterr()
    assert f"train_mnist: not used: {newest} is damaged" in printed.err
    assert "It resumes at step 8." in printed.out


def test_early_stopping_tests_and_keeps_the_best_weights(folder, capsys, monkeypatch):
    losses, tested, logits = iter([3.0, 1.0, 2.0, 2.0]), [], minivit.Classifier.logits

    def logits_of(classifier, *arguments):
        tested.append(classifier.params.flat)
        return logits(classifier, *arguments)

    monkeypatch.setattr(minivit.Classifier, "evaluate", lambda *_: (next(losses), 0.5, None))
    monkeypatch.setattr(minivit.Classifier, "logits", logits_of)
    assert demo(folder, *TINY, "--epochs", "9", "--patience", "2") == 0
    assert "no lower validation loss in 2 epochs: stopped early" in capsys.readouterr().out
    newest = read_arrays(max((RUN / "checkpoints").iterdir()))[1]
    np.testing.assert_array_equal(tested[0], newest["best_weights"])
    np.testing.assert_array_equal(tested[0], minivit.Classifier.load(RUN).params.flat)
    assert (newest["weights"] != newest["best_weights"]).any()


def test_what_is_not_finite_is_named_and_what_was_saved_stays(folder, capsys):
    assert demo(folder, "--optimizer", "sgd", "--lr", "1e30") == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert re.match(r"train_mnist: at step \d the loss is ", message)
    assert message.endswith("Try a lower learning rate. What runs/mnist holds is still good")
    assert [path.stem for path in (RUN / "checkpoints").iterdir()] == ["step-00000000"]


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
        assert demo(folder, *TINY, "--checkpoint-every", "6") == 2
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


def test_where_no_run_can_be_kept(folder, capsys):
    Path("runs").write_text("not a folder")
    assert demo(folder, *TINY) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith("train_mnist: [Errno 17] File exists: 'runs'")


@pytest.mark.usefixtures("untested")
def test_refuses_to_resume_with_other_images(folder, capsys):
    assert demo(folder, *TINY) == 0
    few_digits(folder, train=239)
    assert train_mnist.main(RESUME) == 2
    assert "runs/mnist was started with preparation.mean 0." in last_error(capsys)


@pytest.mark.usefixtures("untested")
def test_refuses_to_resume_with_the_same_images_and_another_label(folder, capsys):
    assert demo(folder, *TINY) == 0
    data = minivit.load_digits(folder)
    labels = data.train.labels.copy()
    labels[17] = (labels[17] + 1) % 10
    write_digits(folder, (data.train.images, labels), data.test)
    assert train_mnist.main(RESUME) == 2
    assert "runs/mnist was started with data.sha256 " in last_error(capsys)


def test_a_finished_run_that_is_resumed_repairs_what_is_damaged(folder, capsys):
    assert demo(folder, *TINY) == 0
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
    assert demo(folder, *TINY) == 0
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
    assert demo(folder, *TINY) == 0
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


RECIPES = [
    (demo, data, recipe)
    for demo, data, recipes in [
        (train_mnist, ["--data", "mnist"], train_mnist.RECIPES["mnist"]),
        (train_mnist, ["--data", "fashion-mnist"], train_mnist.RECIPES["fashion-mnist"]),
        (train_images, ["shapes"], train_images.RECIPES),
    ]
    for recipe in recipes
]


@pytest.mark.parametrize("demo, data, recipe", RECIPES)
def test_a_recipe_sets_options_which_others_override(demo, data, recipe):
    recipes = demo.RECIPES if demo is train_images else demo.RECIPES[data[1]]
    options = demo.arguments([*data, "--recipe", recipe])
    usual = demo.arguments(data)
    assert vars(options).items() >= (recipes[recipe] | dict(recipe=recipe)).items()
    differ = {name for name, value in vars(usual).items() if getattr(options, name) != value}
    assert differ <= {"recipe", *recipes[recipe]}
    assert demo.arguments([*data, "--recipe", recipe, "--epochs", "99"]).epochs == 99
    training_options.model_of(options, [56, 56], 1, 10)  # of sides that are divisible


@pytest.mark.parametrize(
    "options, message",
    [
        (["--heads", "5"], "dim 64 is not divisible by heads 5"),
        (["--drop-path=-0.1"], "drop_path must be at least 0 and less than 1, got -0.1"),
        (["--data", "nowhere"], "no data set at 'nowhere'"),
        (RESUME, "runs/mnist cannot be resumed: it has no training.json"),
        (["--run", "a/b"], "name is a plain folder name that begins with no dot, got 'a/b'"),
        (["--run", ".mine.aside"], "that begins with no dot, got '.mine.aside'"),
    ],
)
def test_what_cannot_work_ends_in_one_line_and_status_2(folder, capsys, options, message):
    options = options if options == RESUME else ["--data", str(folder), *options]
    assert train_mnist.main(options) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("train_mnist: ")
    assert message in error
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "option",
    [
        "--epochs=0",
        "--batch-size=-1",
        "--lr=nan",
        "--seed=-1",
        "--checkpoint-every=0",
        "--augment=zoom=2",
        "--keep-tokens=0",
        "--keep-tokens=1.5",
        "--resume=",
    ],
)
def test_refuses_options_out_of_range(capsys, option):
    with pytest.raises(SystemExit) as stop:
        train_mnist.arguments([option])
    assert stop.value.code == 2
    assert option.partition("=")[0] in capsys.readouterr().err


def test_a_quick_recipe_has_fewer_epochs():
    for demo, options, epochs in [
        (train_mnist, [], (12, 9)),
        (train_mnist, ["--data", "fashion-mnist"], (20, 5)),
        (train_images, ["shapes"], (30, 8)),
    ]:
        recipes = ([], ["--recipe", "quick"])
        usual, quick = (demo.arguments([*options, *more]) for more in recipes)
        assert (usual.epochs, quick.epochs) == epochs


def test_a_recipe_sets_the_rate_and_momentum_of_muon_alone():
    params = minivit.Params({"w": np.zeros((2, 2), np.float32)})

    def made(*argv):
        return training_options.optimizer_of(train_mnist.arguments(argv), params)

    assert (made().lr, made().momentum) == (0.02, 0.95)
    quick = ["--recipe", "quick"]
    assert (made(*quick).lr, made(*quick).momentum) == (0.03, 0.8)
    assert (made(*quick, "--lr", "0.5").lr, made(*quick, "--lr", "0.5").momentum) == (0.5, 0.8)
    for name, rate in dict(adamw=6e-3, adam=6e-3, sgd=0.2).items():
        assert made(*quick, "--optimizer", name).lr == rate
        assert made(*quick, "--optimizer", name, "--lr", "0.5").lr == 0.5


@pytest.mark.slow
@pytest.mark.thorough
def test_the_quick_run_reaches_the_accuracy_that_the_readme_promises(tmp_path):
    """Full MNIST, as a newcomer runs it who has little time."""
    command = [sys.executable, "-m", "demos.train_mnist", "--recipe", "quick"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    result = json.loads((tmp_path / "runs" / "mnist" / "result.json").read_text())
    assert result["test_accuracy"] >= 0.987
