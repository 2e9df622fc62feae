import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

import minivit
from demos import evaluate, predict, train_images, training
from minivit.data import folders
from minivit.data.augment import Augmentation
from minivit.data.folders import split_files
from minivit.data.images import load_pixels
from minivit.data.normalize import Normalize
from minivit.training import load_run
from tests.data.shapes import CLASSES, write_shapes
from tests.demos.test_train_mnist import assert_complete, press_ctrl_c_at, weights

MODEL = ["--image-size=16", "--patch-size=8", "--dim=12", "--depth=1", "--heads=3", "--mlp-dim=8"]
SHORT = [*MODEL, "--epochs=2", "--batch-size=8", "--shards=1"]


@pytest.fixture
def shapes(tmp_path, monkeypatch):
    """12 images of each class, of which 10 are to be trained on; of those a few are damaged."""
    monkeypatch.chdir(tmp_path)
    folder = write_shapes("shapes", 12)
    train = split_files(folder, np.random.default_rng(0))["train"]
    for path in (train["circle"][3], train["square"][0]):
        Path(path).write_bytes(Path(path).read_bytes()[:50])
    Path("shapes", "Thumbs.db").write_bytes(b"no image")
    return folder


def test_leaves_a_complete_run_that_names_what_was_left_out(shapes, capsys):
    assert train_images.main(["shapes", *SHORT, "--image-size", "16", "24"]) == 0
    printed, run = capsys.readouterr(), Path("runs/images")
    told = [line for line in printed.err.splitlines() if line.startswith("train_images:")]
    assert len(told) == 2
    assert all(re.match(r"train_images: left out: shapes/\w+/.* is .*damaged", one) for one in told)
    assert "shapes: 34 images, 2 files left out" in printed.out
    assert "3 classes: circle, square, triangle" in printed.out
    assert "learns from 28 images; 3 are held out to watch it." in printed.out
    assert_complete(run)
    model, _, preparation, classes = load_run(run)
    assert (model.config["image_size"], model.config["channels"]) == ([16, 24], 3)
    assert classes == CLASSES
    files = split_files(shapes, np.random.default_rng(0))["train"]
    left_out = [one.partition(": left out: ")[2].partition(" is ")[0] for one in told]
    good = [path for paths in files.values() for path in paths if path not in left_out]
    assert preparation == Normalize.of(np.stack([load_pixels(path, 16, 24) for path in good]))
    result = json.loads((run / "result.json").read_text())
    assert np.sum(result["test"]["confusion_matrix"], axis=1).tolist() == [1, 1, 1]
    assert f"Test accuracy {result['test_accuracy']:.2%}" in printed.out


def test_the_command_it_proposes_can_be_run(shapes, capsys):
    assert train_images.main(["shapes", *SHORT]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    python, _, demo, run, picture = shlex.split(last.partition(": ")[2])
    assert Path(python).samefile(sys.executable)
    assert (demo, picture) == ("demos.predict", "PICTURE")
    assert predict.main([run, "shapes/circle/000.png", "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    classifier = minivit.Classifier.load(run)
    (expected,) = classifier.predict([load_pixels("shapes/circle/000.png", 16, 16)])
    np.testing.assert_allclose(list(answer["probabilities"].values()), expected, rtol=1e-5)
    assert answer["warnings"] == []


def test_ctrl_c_stops_and_it_goes_on_to_the_same_last_bit(shapes, capsys, monkeypatch):
    assert train_images.main(["shapes", *SHORT, "--run", "whole"]) == 0
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, 5)
        assert train_images.main(["shapes", *SHORT, "--run", "parts"]) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("train_images: stopped and saved after 6 steps. Go on: ")
    module, *options = shlex.split(said.partition("Go on: ")[2])[2:]
    assert (module, options) == ("demos.train_images", ["--resume", "runs/parts"])
    assert train_images.main(options) == 0
    assert "begins at step 6." in capsys.readouterr().out
    assert weights("runs/parts") == weights("runs/whole")
    for name in ("metrics.csv", "config.json"):
        assert Path("runs/parts", name).read_bytes() == Path("runs/whole", name).read_bytes()


def test_a_folder_larger_than_memory_gives_the_same_run(shapes, capsys, monkeypatch):
    assert train_images.main(["shapes", *SHORT, "--run", "kept"]) == 0
    monkeypatch.setattr(folders, "CACHE_BYTES", 10 * 16 * 16 * 3)
    assert train_images.main(["shapes", *SHORT, "--run", "streamed"]) == 0
    assert weights("runs/streamed") == weights("runs/kept")
    assert capsys.readouterr().err.count("left out: ") == 4


def test_a_file_that_is_lost_on_the_way_ends_it_in_one_line(shapes, capsys, monkeypatch):
    monkeypatch.setattr(folders, "CACHE_BYTES", 0)
    (lost,) = split_files(shapes, np.random.default_rng(0))["validation"]["triangle"]
    real = training.fit_run

    def fit(*arguments, **options):
        data = Path(lost).read_bytes()
        Path(lost).unlink()
        try:
            return real(*arguments, **options)
        finally:
            Path(lost).write_bytes(data)

    monkeypatch.setattr(training, "fit_run", fit)
    assert train_images.main(["shapes", *SHORT]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"train_images: there is no image {lost}; expected a file or")
    assert said.endswith(" -m demos.train_images --resume runs/images")
    monkeypatch.setattr(training, "fit_run", real)
    assert train_images.main(["--resume", "runs/images"]) == 0


def test_refuses_to_go_on_when_the_folder_has_changed(shapes, capsys):
    assert train_images.main(["shapes", *SHORT]) == 0
    Path("shapes/circle/000.png").rename("shapes/circle/999.png")
    capsys.readouterr()
    assert train_images.main(["--resume", "runs/images"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    home = Path("shapes").resolve()
    assert said.startswith(f"train_images: the images in {home} have changed since runs/images was")


def test_it_goes_on_from_any_folder(shapes, capsys, monkeypatch):
    home = shapes.resolve()
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, 2)
        assert train_images.main(["shapes", *SHORT]) == 130
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert train_images.main(["--resume", "../runs/images"]) == 0
    assert evaluate.main(["../runs/images"]) == 0
    printed = capsys.readouterr()
    assert f"on 3 test images of {home}:" in printed.out
    assert "has changed" not in printed.err


def test_every_option_of_a_training_is_passed_on(shapes, monkeypatch):
    seen = []
    monkeypatch.setattr(training, "fit_run", lambda *_, **options: seen.append(options) or 1 / 0)
    asked = ["--augment", "flip", "--patience", "2", "--batch-size", "7", "--seed", "4"]
    with pytest.raises(ZeroDivisionError):
        train_images.main(["shapes", *SHORT, *asked])
    (options,) = seen
    assert options["augment"] == Augmentation(flip=True)
    assert (options["patience"], options["batch_size"], options["seed"]) == (2, 7, 4)


def test_refuses_a_size_before_it_reads_the_images(shapes, capsys):
    assert train_images.main(["shapes", "--image-size", "30"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "an image of 30 x 30 pixels cannot be cut into patches of 8 x 8" in said
    assert not Path("runs").exists()


def test_one_class_is_nothing_to_learn(shapes, capsys):
    assert train_images.main(["shapes/circle"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("train_images: shapes/circle has 0 class folders with images in them")


@pytest.mark.parametrize(
    "options, message",
    [
        ([], "give the FOLDER, or --resume RUN"),
        (["shapes", "--resume", "runs/images"], "--resume goes on with the settings of the run"),
        (["shapes", "--image-size", "1", "2", "3"], "--image-size is one number or two"),
        (["shapes", "--seed", "-1"], "--seed: must not be negative, got -1"),
    ],
)
def test_refuses_options_that_cannot_work(capsys, options, message):
    with pytest.raises(SystemExit) as stop:
        train_images.arguments(options)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_learns_to_tell_shapes_apart(tmp_path, monkeypatch):
    """900 made-up photos, about 10 s."""
    monkeypatch.chdir(tmp_path)
    write_shapes("shapes", 300)
    assert train_images.main(["shapes", "--image-size", "32", "--epochs", "20"]) == 0
    result = json.loads(Path("runs/images/result.json").read_text())
    assert result["test_accuracy"] >= 0.95
