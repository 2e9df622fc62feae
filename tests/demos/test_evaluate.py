import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import minivit
from demos import evaluate, train_images
from minivit.checksums import write_summed
from minivit.data.augment import Augmentation
from minivit.data.folders import class_files, split_files
from minivit.data.images import load_pixels
from minivit.files import write_json
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


def evaluated(capsys, *options):
    """What it prints as JSON."""
    assert evaluate.main([*options, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_metrics_are_those_of_the_answers(capsys):
    report = evaluated(capsys, "run", "digits")
    labels, predictions = mnist().test.labels[:50], answers(mnist().test.images[:50])
    assert (report["run"], report["data"]) == ("run", "digits")
    assert report["accuracy"] == pytest.approx((predictions == labels).mean())
    for row, column in np.ndindex(10, 10):
        expected = ((labels == row) & (predictions == column)).sum()
        assert report["confusion_matrix"][row][column] == expected


def test_a_table_and_the_worst_mistakes(capsys):
    assert evaluate.main(["run", "digits", "--out", "worst.png"]) == 0
    printed = capsys.readouterr()
    accuracy = (answers(mnist().test.images[:50]) == mnist().test.labels[:50]).mean()
    assert f"accuracy {accuracy:.2%}   top-3 accuracy " in printed.out
    lines = printed.out.splitlines()
    counts = [int(line.split()[1]) for line in lines if line.endswith(("%", "–"))][:10]
    assert counts == np.bincount(mnist().test.labels[:50], minlength=10).tolist()
    matrix = [list(map(int, line.split()[1:])) for line in lines[-10:]]
    assert np.sum(matrix, axis=1).tolist() == counts
    assert cv2.imread("worst.png").std() > 5
    assert printed.err.splitlines()[-1].endswith("demos.predict run PICTURE")


def test_classes_are_matched_by_their_names(capsys):
    save_untrained("backward", DIGITS[::-1])
    labels, predictions = mnist().test.labels[:50], answers(mnist().test.images[:50], "backward")
    accuracy = (9 - predictions == labels).mean()
    assert evaluated(capsys, "backward", "digits")["accuracy"] == pytest.approx(accuracy)


@pytest.mark.parametrize("name", ["training.json", "result.json"])  # the latter of older runs
def test_without_data_it_is_the_runs_own(capsys, name):
    write_json(Path("run", name), {"options": {"data": "digits"}}, write_summed)
    assert evaluated(capsys, "run")["data"] == "digits"


def test_views_are_the_image_and_others_changed_as_in_training(capsys):
    options = {"data": "digits", "augment": ["rotation=30", "shift=3", "erase=1"]}
    write_json(Path("run", "training.json"), {"options": options}, write_summed)
    images, labels = mnist().test.images[:50], mnist().test.labels[:50]
    classifier, rng = minivit.Classifier.load("run"), np.random.default_rng(0)
    augment = Augmentation(shift=3, rotation=30)
    logits = [classifier.logits(images)]
    for _ in range(2):
        logits.append(classifier.logits([augment.changed(image, rng) for image in images]))
    report = evaluated(capsys, "run", "--views", "3")
    loss, _ = minivit.cross_entropy(np.mean(logits, axis=0), labels)
    assert report["loss"] == pytest.approx(float(loss), rel=1e-6)
    assert report["views"] == 3
    usual = evaluated(capsys, "run")
    assert usual["views"] == 1 and usual["loss"] != pytest.approx(report["loss"], rel=1e-6)
    assert evaluate.main(["run", "--views", "2"]) == 0
    assert "on 50 test images of digits, 2 views of each:" in capsys.readouterr().out


def test_refuses_views_that_there_are_not(capsys):
    assert evaluate.main(["run", "digits", "--views", "2"]) == 2
    assert "run was trained without --augment" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        evaluate.main(["run", "digits", "--views", "0"])
    assert stop.value.code == 2
    assert "--views must be at least 1, got 0" in capsys.readouterr().err


@pytest.mark.parametrize("started", [None, "{}", '{"options": 3}', '{"options": {"data": 3}}'])
def test_a_run_of_unknown_origin_is_not_taken_for_mnist(capsys, started):
    if started:
        write_summed("run/training.json", started.encode())
    assert evaluate.main(["run"]) == 2
    printed = capsys.readouterr()
    message = "run does not say what it was trained on; give DATA, such as mnist"
    assert (printed.out, printed.err) == ("", f"evaluate: {message}\n")
    assert evaluated(capsys, "run", "digits")["data"] == "digits"


def small(folder):
    images, labels = np.zeros((3, 8, 9)), np.array([0, 1, 2])
    return write_digits(folder, (images, labels), (images, labels))


@pytest.mark.parametrize("size, channels", [((42, 28), 3), (28, 3), (42, 1)])
def test_digits_are_brought_to_the_size_of_a_model_for_larger_or_colour_images(
    capsys, size, channels
):
    save_untrained("large", image_size=size, channels=channels)
    classifier = minivit.Classifier.load("large")
    H, W = classifier.model.config["image_size"]
    digits = mnist().test
    images = np.stack(
        [cv2.resize(x, (W, H), interpolation=cv2.INTER_CUBIC) for x in digits[0][:50]]
    )
    answers = classifier.predict(np.repeat(images[..., None], channels, axis=3)).argmax(axis=1)
    report = evaluated(capsys, "large", "digits")
    assert report["accuracy"] == pytest.approx((answers == digits.labels[:50]).mean(), abs=0.04)
    assert cv2.imread("mistakes.png").std() > 5


def eleven(folder):
    images, labels = np.zeros((2, 28, 28)), np.array([0, 10])
    return write_digits(folder, (images, labels), (images, labels))


COLOURS = "runs/images"
TRAINING = ["--patch-size=4", "--dim=12", "--depth=1", "--heads=3", "--mlp-dim=8", "--epochs=1"]


@pytest.fixture
def held_out(untested):
    """The 2 + 2 + 2 of 60 shapes that a run on them held out: {class: paths}."""
    held_out = split_files(write_shapes("shapes", 20), np.random.default_rng(3))["test"]
    sizes = ["--image-size", "12", "16", "--shards", "1", "--seed", "3"]
    assert train_images.main(["shapes", *TRAINING, *sizes]) == 0
    return held_out


def accuracy_of(files):
    images = [load_pixels(path, 12, 16) for paths in files.values() for path in paths]
    labels = [CLASSES.index(name) for name, paths in files.items() for _ in paths]
    return pytest.approx((answers(np.stack(images), COLOURS) == labels).mean())


def images_in(report):
    return np.sum(report["confusion_matrix"])


@pytest.mark.parametrize("options", [[], ["shapes"]])
def test_of_its_own_folder_a_run_sees_what_it_held_out(held_out, capsys, options):
    report = evaluated(capsys, COLOURS, *options)
    assert (images_in(report), report["accuracy"]) == (6, accuracy_of(held_out))
    assert cv2.imread("mistakes.png").std(axis=2).mean() > 1  # in colour


def test_of_its_own_folder_that_has_changed_it_still_sees_what_it_held_out(held_out, capsys):
    for number in range(30):  # another draw would hold out others
        shutil.copy("shapes/circle/000.png", f"shapes/circle/{number}-new.png")
    report = evaluated(capsys, COLOURS)
    assert (images_in(report), report["accuracy"]) == (6, accuracy_of(held_out))
    lost = held_out["square"].pop()
    Path(lost).unlink()
    assert evaluate.main([COLOURS, "--json"]) == 0
    printed = capsys.readouterr()
    assert images_in(json.loads(printed.out)) == 5
    assert f"{Path(lost)};" in printed.err or f"{Path(lost).resolve()};" in printed.err


def test_its_own_folder_is_recognized_wherever_it_lies(held_out, monkeypatch, capsys):
    Path("elsewhere").mkdir()
    Path("shapes").rename("elsewhere/moved")
    monkeypatch.chdir("elsewhere")
    assert images_in(evaluated(capsys, f"../{COLOURS}", "moved")) == 6
    write_shapes("others", 20, seed=1)  # of the same names
    assert images_in(evaluated(capsys, f"../{COLOURS}", "others")) == 60


@pytest.mark.usefixtures("held_out")
def test_an_older_run_that_did_not_record_what_it_held_out_says_so(capsys):
    path = Path(COLOURS, "training.json")
    started = json.loads(path.read_text())
    del started["images"]["held_out"]
    write_json(path, started, write_summed)
    assert evaluate.main([COLOURS]) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert message.endswith("did not record what it held out; give a folder of other images")


@pytest.mark.usefixtures("held_out")
def test_of_other_folders_it_sees_all_images_or_those_for_tests(capsys):
    write_shapes("parted/train", 2)
    for_tests = class_files(write_shapes("parted/test", 3, seed=2))
    report = evaluated(capsys, COLOURS, "parted")
    assert (images_in(report), report["accuracy"]) == (9, accuracy_of(for_tests))
    all_images = class_files(write_shapes("others", 4, seed=1))
    Path("others/square/bad.png").write_bytes(b"no image")
    assert evaluate.main([COLOURS, "others", "--json"]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert (images_in(report), report["accuracy"]) == (12, accuracy_of(all_images))
    assert printed.err.count("evaluate: left out: others/square/bad.png is not an image") == 1


def test_a_run_on_digits_sees_photos_of_digits_as_predict_does(capsys):
    classifier = minivit.Classifier.load("run")
    for label, name in {3: "three-drawn.png", 5: "five-photo.jpg"}.items():
        Path("photos", str(label)).mkdir(parents=True)
        shutil.copy(SAMPLES / name, Path("photos", str(label)))
    matrix = evaluated(capsys, "run", "photos")["confusion_matrix"]
    for label, name in {3: "three-drawn.png", 5: "five-photo.jpg"}.items():
        (answer,) = classifier.predict([classifier.read(SAMPLES / name)[0]]).argmax(axis=1)
        assert matrix[label] == np.eye(10, dtype=int)[answer].tolist()


@pytest.mark.parametrize(
    "make, options, message",
    [
        (None, ["nowhere", "digits"], "nowhere is not a run"),
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
