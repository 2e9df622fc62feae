import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from demos import detect
from minivit.data.scenes import Scenes
from minivit.finder import Finder
from minivit.training import Run
from tests.data.test_coco import content, write
from tests.demos.digit_runs import last_error, proposed
from tests.demos.resumed import expect_the_same_after_a_kill, expect_the_same_after_ctrl_c, names
from tests.test_finder import untrained

MODEL = ["--dim=12", "--depth=1", "--heads=3", "--mlp-dim=8"]
SHORT = [*MODEL, "--image-size=48", "--epochs=2", "--batch-size=4", "--shards=1"]
SCENES = [*SHORT, "--scenes=12", "--test-scenes=4"]
FILES = {
    "boxes.png", "checkpoints", "checksums.json", "config.json", "curves.png", "metrics.csv",
    "result.json", "sides.png", "training.json", "weights.safetensors",
}  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    pytest.importorskip("pycocotools")
    monkeypatch.chdir(tmp_path)


def test_leaves_a_complete_run_and_says_how_good_it_is(capsys):
    assert detect.main([*SCENES, "--json", "out.json"]) == 0
    printed = capsys.readouterr().out
    assert names("runs/detect") == FILES
    result = json.loads(Path("runs/detect/result.json").read_text())
    assert (result["steps"], result["images_seen"]) == (6, 24)
    assert 0 <= result["map"] <= result["map50"] <= 1
    short = json.loads(Path("out.json").read_text())
    assert list(short) == ["map", "map50", "seconds", "parameters"]
    assert short == {name: result[name] for name in short}
    finder = Finder.load("runs/detect")
    assert finder.params.flat.size == result["parameters"]
    assert finder.model.config["image_size"] == [48, 48] and finder.reads_digits
    objects = sum(len(scene.objects) for scene in last_scenes())
    assert f"On 4 images with {objects} objects, that were not trained on:" in printed
    assert f"  {result['map50']:.3f}  mAP, IoU 0.50\n" in printed
    assert proposed(printed.splitlines()[-1], "detect") == ["--run", "runs/detect", "PHOTO"]


def last_scenes():
    from minivit import load_digits

    return Scenes(load_digits().test, 4, size=48, sides=(8, 24), seed=2)


def test_ctrl_c_stops_and_saves_and_it_resumes_to_the_same_weights(monkeypatch, capsys):
    expect_the_same_after_ctrl_c(detect, SCENES, monkeypatch, capsys)
    assert names("runs/stopped") == FILES


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights():
    expect_the_same_after_a_kill(detect, [*SCENES, "--scenes=60"])


def test_a_damaged_run_is_written_anew_as_a_detectors(capsys):
    assert detect.main([*SCENES]) == 0
    before = Path("runs/detect/weights.safetensors").read_bytes()
    Path("runs/detect/weights.safetensors").write_bytes(b"damaged")
    assert detect.main(["--resume", "runs/detect"]) == 0
    assert "not used: " in capsys.readouterr().err
    assert Path("runs/detect/weights.safetensors").read_bytes() == before


def test_learns_from_a_folder_in_cocos_layout(capsys):
    for part in ("train", "val"):
        write(Path.cwd(), content(), part)
    assert detect.main([*SHORT, "--data", "."]) == 0
    finder = Finder.load("runs/detect")
    assert finder.classes == ["cat", "dog"] and finder.model.config["channels"] == 3
    assert not finder.reads_digits
    assert "2 images, 2 times each, on 1 process; 1 more validate it." in capsys.readouterr().out
    assert detect.main(["--run", "runs/detect", "train/a.png"]) == 0


def test_the_boxes_of_a_folder_are_scaled_as_its_pictures_are():
    for part in ("train", "val"):
        write(Path.cwd(), content(), part)
    options = detect.arguments([*SHORT, "--data", "."])
    data, _ = detect.load(options)
    assert data.test.images[0].shape == (48, 48, 3)
    assert data.test.labels[0].tolist() == [[1, 1.2, 2.4, 13.2, 26.4], [0, 36, 24, 48, 36]]
    assert data.train.labels.shape == (2, 16, 5)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda whole: whole["annotations"][0].update(bbox=[1, 2, -3, 4]), "expected an area"),
        (lambda whole: whole["categories"][0].update(name="cow"), "expected the same"),
        (lambda whole: whole["annotations"].clear(), "'annotations' is empty"),
    ],
)
def test_a_wrong_folder_is_refused_in_a_line(spoil, message, capsys):
    write(Path.cwd(), content(), "train")
    whole = content()
    spoil(whole)
    write(Path.cwd(), whole, "val")
    assert detect.main([*SHORT, "--data", "."]) == 2
    error = last_error(capsys)
    assert message in error
    assert not Path("runs").exists()


def photo_of(objects, name="photo.png"):
    """A photo, 240 x 360, of dark strokes on paper that is lit from one side."""
    paper = np.tile(np.linspace(200, 240, 360), (240, 1))
    for left, top, right, bottom in objects:
        cv2.ellipse(
            paper, ((left + right) // 2, (top + bottom) // 2),
            ((right - left) // 2 - 4, (bottom - top) // 2 - 4), 0, 0, 360, 40, 7,
        )  # fmt: skip
    cv2.imwrite(name, paper)


def digit_finder(folder):
    """A run of an untrained detector of digits that is sure of everything."""
    finder = untrained([str(digit) for digit in range(10)], image_size=(48, 48))
    finder.params["head"]["b"][:10] += np.arange(10)
    Path(folder).mkdir(parents=True)
    finder.save(folder)
    return finder


def test_finds_what_is_in_photos_and_draws_it(capsys):
    digit_finder("runs/detect")
    photo_of([(40, 30, 100, 130), (220, 90, 300, 210)])
    assert detect.main(["photo.png", "missing.png"]) == 2
    printed = capsys.readouterr()
    assert "there is no image missing.png" in printed.err
    first, *rest = printed.out.splitlines()
    assert first.startswith("photo.png: ") and first.endswith(f" {len(rest)} found")
    assert cv2.imread("found.png").shape[2] == 3


def test_a_photo_becomes_light_ink_where_it_was():
    finder = digit_finder("run")
    photo_of([(40, 30, 100, 130), (220, 90, 300, 210)])
    pixels, found, warnings = finder.find_in_picture("photo.png", least=0.01)
    ink = pixels[:, :, 0] > 100
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    scale = pixels.shape[0] / 240
    assert scale == pytest.approx(round(0.3 * 48) / 110, rel=0.05)  # 100 and 120 pixels, with ink
    assert pixels.shape == (round(240 * scale), round(360 * scale), 1) and not warnings
    expected = [30 * scale, 210 * scale, 40 * scale, 300 * scale]
    assert [rows[0], rows[-1] + 1, columns[0], columns[-1] + 1] == pytest.approx(expected, abs=1.5)
    assert (found[:, 1:5] >= 0).all() and (found[:, 3] <= 360).all() and (found[:, 4] <= 240).all()


def test_a_blank_page_has_a_warning():
    finder = digit_finder("run")
    photo_of([])
    pixels, _, warnings = finder.find_in_picture("photo.png")
    assert not pixels.any() and warnings == ["nothing stands out from the background"]


@pytest.mark.parametrize(
    "options, message",
    [
        (["--augment", "flip"], "--augment would move the objects, but not their boxes"),
        (["--epochs", "0"], "--epochs must be greater than 0"),
    ],
)
def test_refuses_options_that_cannot_work(options, message, capsys):
    with pytest.raises(SystemExit):
        detect.arguments(options)
    assert message in capsys.readouterr().err


def test_without_pycocotools_it_says_so_before_it_trains(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    monkeypatch.setattr(Run, "start", None)
    assert detect.main(SCENES) == 2
    assert "mAP needs pycocotools" in last_error(capsys)


def test_a_classifiers_run_is_refused(capsys):
    from tests.saved_runs import untrained as classifier

    Path("run").mkdir()
    classifier().save("run")
    photo_of([])
    assert detect.main(["--run", "run", "photo.png"]) == 2
    assert "it is of the kind ViT; expected Detector" in last_error(capsys)
