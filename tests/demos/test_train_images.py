import json
import re
from pathlib import Path

import numpy as np
import pytest

import minivit
from demos import evaluate, train_images
from minivit.data import folders
from minivit.data.folders import split_files
from minivit.data.images import load_pixels
from minivit.training import Run
from tests.data.shapes import CLASSES, write_shapes
from tests.demos.digit_runs import (
    assert_complete,
    assert_same,
    last_error,
    press_ctrl_c_at,
    proposed,
)

MODEL = ["--image-size=16", "--patch-size=8", "--dim=12", "--depth=1", "--heads=3", "--mlp-dim=8"]
SHORT = [*MODEL, "--epochs=2", "--batch-size=8", "--shards=1"]
RESUME = ["--resume", "runs/images"]


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
    home = shapes.resolve()
    assert train_images.main(["shapes", *SHORT, "--image-size", "16", "24"]) == 0
    printed, run = capsys.readouterr(), Path("runs/images")
    warnings = [line for line in printed.err.splitlines() if line.startswith("train_images:")]
    left_out = [re.match(r"train_images: left out: (.*?) is .*damaged", line) for line in warnings]
    assert len(left_out) == 2
    assert f"{home}: 34 images of 3 classes (circle, square, triangle); 2 damaged" in printed.out
    assert "28 images, 2 times each, on 1 process; 3 more validate it." in printed.out
    assert_complete(run)
    assert proposed(printed.out.splitlines()[-1], "predict") == ["runs/images", "PICTURE"]
    classifier = minivit.Classifier.load(run)
    config = classifier.model.config
    assert (config["image_size"], config["channels"]) == ([16, 24], 3)
    assert classifier.classes == CLASSES
    files = split_files(home, np.random.default_rng(0))
    bad = [match[1] for match in left_out]
    good = [path for paths in files["train"].values() for path in paths if path not in bad]
    means = np.mean([load_pixels(path, 16, 24) for path in good], axis=(0, 1, 2)) / 255
    np.testing.assert_allclose(classifier.normalize.mean, means)
    images = json.loads((run / "training.json").read_text())["images"]
    assert images["held_out"] == {
        name: [str(Path(path).relative_to(home)) for path in paths]
        for name, paths in files["test"].items()
    }
    result = json.loads((run / "result.json").read_text())
    assert np.sum(result["test"]["confusion_matrix"], axis=1).tolist() == [1, 1, 1]


@pytest.mark.usefixtures("untested")
def test_ctrl_c_stops_and_it_resumes_from_any_folder(shapes, capsys, monkeypatch):
    home = shapes.resolve()
    assert train_images.main(["shapes", *SHORT, "--run", "whole"]) == 0
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, 5)
        assert train_images.main(["shapes", *SHORT, "--run", "parts"]) == 130
    _, message, resume = last_error(capsys).partition("train_images: stopped and saved after 6 ")
    assert message
    assert proposed(resume, "train_images") == ["--resume", "runs/parts"]
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert train_images.main(["--resume", "../runs/parts"]) == 0
    assert "It resumes at step 6." in capsys.readouterr().out
    assert_same("../runs/parts", "../runs/whole")
    assert evaluate.main(["../runs/parts"]) == 0
    assert f"on 3 test images of {home}:" in capsys.readouterr().out


@pytest.mark.usefixtures("untested")
def test_images_that_stay_in_their_files_give_the_same_run_until_one_is_lost(
    shapes, capsys, monkeypatch
):
    assert train_images.main(["shapes", *SHORT, "--run", "kept"]) == 0
    monkeypatch.setattr(folders, "CACHE_BYTES", 0)
    assert train_images.main(["shapes", *SHORT, "--run", "streamed"]) == 0
    assert_same("runs/streamed", "runs/kept")

    folder, real = shapes.resolve(), Run.fit
    (lost,) = split_files(folder, np.random.default_rng(0))["validation"]["triangle"]

    def fit(*arguments, **options):
        Path(lost).rename("lost")
        try:
            return real(*arguments, **options)
        finally:
            Path("lost").rename(lost)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "fit", fit)
        assert train_images.main(["shapes", *SHORT]) == 2
    message = last_error(capsys)
    assert message.startswith(f"train_images: there is no image {lost}; expected a file or")
    assert message.endswith(" -m demos.train_images --resume runs/images")
    assert train_images.main(RESUME) == 0
    assert_same("runs/images", "runs/kept")


@pytest.mark.usefixtures("untested")
def test_refuses_to_resume_when_the_folder_has_changed(shapes, capsys):
    assert train_images.main(["shapes", *SHORT]) == 0
    Path("shapes/circle/000.png").rename("shapes/circle/999.png")
    assert train_images.main(RESUME) == 2
    message = last_error(capsys)
    assert message.startswith("train_images: runs/images was started with images.checksum ")
    assert message.endswith("; put back what it was started with, or start a new run")
    Path("shapes/circle/999.png").unlink()
    assert train_images.main(RESUME) == 2
    assert "runs/images was started with images.t" in last_error(capsys)


@pytest.mark.parametrize(
    "options, message",
    [
        (["shapes", "--image-size", "30"], "30 x 30 pixels cannot be cut into patches of 8 x 8"),
        (["shapes/circle"], "/shapes/circle has 0 class folders with images in them"),
    ],
)
def test_what_cannot_work_ends_in_one_line_before_the_images_are_read(
    shapes, capsys, options, message
):
    assert train_images.main(options) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("train_images: ")
    assert message in error
    assert not Path("runs").exists()


@pytest.mark.slow
@pytest.mark.thorough
def test_learns_to_tell_shapes_apart(tmp_path, monkeypatch):
    """900 made-up photos, about 10 s."""
    monkeypatch.chdir(tmp_path)
    write_shapes("shapes", 300)
    assert train_images.main(["shapes", "--image-size", "32", "--epochs", "20"]) == 0
    result = json.loads(Path("runs/images/result.json").read_text())
    assert result["test_accuracy"] >= 0.95
