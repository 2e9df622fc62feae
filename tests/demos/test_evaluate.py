import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import minivit
from demos import evaluate
from minivit.data.folders import class_files, files_sum, split_files
from minivit.data.images import load_image, load_pixels
from minivit.data.scans import scan_digit
from tests.data.idx import few_digits, mnist, write_digits
from tests.data.shapes import CLASSES, write_shapes
from tests.saved_runs import DIGITS, save_untrained

SAMPLES = Path(evaluate.__file__).parent / "samples"


@pytest.fixture(autouse=True)
def digits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_untrained("run", depth=1)
    return few_digits("digits")


def answers(images, run="run"):
    return minivit.Classifier.load(run).predict(images).argmax(axis=1)


def test_metrics_are_those_of_the_answers(capsys):
    assert evaluate.main(["run", "digits", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    labels, said = mnist().test.labels[:50], answers(mnist().test.images[:50])
    assert (found["run"], found["data"]) == ("run", "digits")
    assert found["accuracy"] == pytest.approx((said == labels).mean())
    for row, column in np.ndindex(10, 10):
        expected = ((labels == row) & (said == column)).sum()
        assert found["confusion_matrix"][row][column] == expected
    said_often = np.bincount(said, minlength=10).argmax()
    share = (labels[said == said_often] == said_often).mean()
    assert found["classes"][str(said_often)]["precision"] == pytest.approx(share)


def test_a_table_and_the_worst_mistakes(capsys):
    assert evaluate.main(["run", "digits", "--out", "worst.png"]) == 0
    printed = capsys.readouterr().out
    accuracy = (answers(mnist().test.images[:50]) == mnist().test.labels[:50]).mean()
    assert f"accuracy {accuracy:.2%}   one of the first 3 " in printed
    lines = printed.splitlines()
    counts = [int(line.split()[1]) for line in lines if line.endswith(("%", "–"))][:10]
    assert counts == np.bincount(mnist().test.labels[:50], minlength=10).tolist()
    matrix = [list(map(int, line.split()[1:])) for line in lines[-10:]]
    assert np.sum(matrix, axis=1).tolist() == counts
    assert cv2.imread("worst.png").std() > 5


def test_classes_are_matched_by_their_names(capsys):
    save_untrained("backward", DIGITS[::-1])
    assert evaluate.main(["backward", "digits", "--json"]) == 0
    labels, said = mnist().test.labels[:50], answers(mnist().test.images[:50], "backward")
    accuracy = json.loads(capsys.readouterr().out)["accuracy"]
    assert accuracy == pytest.approx((9 - said == labels).mean())


def test_without_data_it_is_the_runs_own(capsys):
    assert evaluate.started_with("run") == {"data": "mnist", "seed": 0, "sum": None}
    Path("run/result.json").write_text('{"options": {"data": "digits"}}')
    assert evaluate.started_with("run")["data"] == "digits"
    assert evaluate.main(["run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"] == "digits"
    for other in ("{", "[]", '{"options": 3}'):
        Path("run/result.json").write_text(other)
        assert evaluate.started_with("run") == {"data": "mnist", "seed": 0, "sum": None}


def small(folder):
    images, labels = np.zeros((3, 8, 9)), np.array([0, 1, 2])
    return write_digits(folder, (images, labels), (images, labels))


def eleven(folder):
    images, labels = np.zeros((2, 28, 28)), np.array([0, 10])
    return write_digits(folder, (images, labels), (images, labels))


@pytest.fixture
def colours(tmp_path):
    """A run on colour images that never learnt, and the folder with which it was started."""
    save_untrained("colours", CLASSES, image_size=(12, 16), patch_size=4, channels=3)
    parts = split_files(write_shapes("shapes", 20), np.random.default_rng(3))
    images, options = {"sum": files_sum(parts, "shapes")}, {"data": "shapes", "seed": 3}
    Path("colours/training.json").write_text(json.dumps({"options": options, "images": images}))
    return parts


def expected_accuracy(files):
    images = [load_pixels(path, 12, 16) for paths in files.values() for path in paths]
    labels = [CLASSES.index(name) for name, paths in files.items() for _ in paths]
    return (answers(np.stack(images), "colours") == labels).mean()


def test_of_its_own_folder_a_run_sees_what_was_held_out(colours, capsys):
    for options in (["colours"], ["colours", str(Path("shapes").resolve())]):
        assert evaluate.main([*options, "--json"]) == 0
        printed = capsys.readouterr()
        found = json.loads(printed.out)
        assert np.sum(found["confusion_matrix"]) == 6
        assert found["accuracy"] == pytest.approx(expected_accuracy(colours["test"]))
        assert printed.err == "Written: mistakes.png\n"
    assert cv2.imread("mistakes.png").std(axis=2).mean() > 1  # in colour
    Path("shapes/circle/new.png").write_bytes(b"no image")
    assert evaluate.main(["colours"]) == 0
    assert "shapes has changed since the run was started" in capsys.readouterr().err


def test_its_own_folder_is_known_wherever_it_lies(colours, monkeypatch, capsys):
    Path("elsewhere").mkdir()
    Path("shapes").rename("elsewhere/moved")
    monkeypatch.chdir("elsewhere")
    assert evaluate.main(["../colours", "moved"]) == 0
    printed = capsys.readouterr()
    assert "on 6 test images of moved:" in printed.out
    assert "has changed" not in printed.err
    write_shapes("others", 20, seed=1)  # of the same names
    assert evaluate.main(["../colours", "others"]) == 0
    assert "on 60 test images of others:" in capsys.readouterr().out


def test_of_other_folders_all_images_or_those_for_tests(colours, capsys):
    all_images = class_files(write_shapes("others", 4, seed=1))
    Path("others/square/bad.png").write_bytes(b"no image")
    assert evaluate.main(["colours", "others"]) == 0
    printed = capsys.readouterr()
    assert "colours on 12 test images of others:" in printed.out
    assert f"accuracy {expected_accuracy(all_images):.2%} " in printed.out
    assert printed.err.count("evaluate: left out: others/square/bad.png is not an image") == 1
    write_shapes("parted/train", 2)
    for_tests = class_files(write_shapes("parted/test", 3, seed=2))
    write_shapes("parted/val", 2)
    assert evaluate.main(["colours", "parted", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert np.sum(found["confusion_matrix"]) == 9
    assert found["accuracy"] == pytest.approx(expected_accuracy(for_tests))


def test_a_run_on_digits_sees_photos_of_digits_as_predict_does(capsys):
    for name in ("three-drawn.png", "five-photo.jpg"):
        label = {"three": "3", "five": "5"}[name.partition("-")[0]]
        Path("photos", label).mkdir(parents=True)
        shutil.copy(SAMPLES / name, Path("photos", label, name))
    assert evaluate.main(["run", "photos", "--json"]) == 0
    matrix = np.array(json.loads(capsys.readouterr().out)["confusion_matrix"])
    for label, path in {3: "three-drawn.png", 5: "five-photo.jpg"}.items():
        said = answers(scan_digit(load_image(SAMPLES / path)).pixels[None])
        assert matrix[label].tolist() == np.eye(10, dtype=int)[said[0]].tolist()


@pytest.mark.parametrize(
    "make, options, message",
    [
        (None, ["nowhere", "digits"], "nowhere is no run"),
        (None, ["run", "nowhere"], "no data set at 'nowhere'"),
        (small, ["run", "other"], "are [8, 9, 1]; the run was trained on [28, 28, 1]"),
        (eleven, ["run", "other"], "other has 10; the run knows 0, 1, 2"),
        (lambda path: Path(path).mkdir(), ["run", "other"], "other has neither four idx files nor"),
        (lambda path: write_shapes(path, 1), ["run", "other"], "is of the class circle; expected"),
    ],
)
def test_what_cannot_work_ends_in_one_line_and_status_2(capsys, make, options, message):
    if make:
        make("other")
    assert evaluate.main(options) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("evaluate: ")
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not Path("mistakes.png").exists()
