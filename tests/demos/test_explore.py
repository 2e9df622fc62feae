import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import minivit
from demos import digit, explore, predict
from minivit.checksums import write_summed
from minivit.data.digits import Digits, Split
from minivit.data.normalize import Normalize
from minivit.files import write_json
from minivit.study.explorer import chosen
from tests.data.shapes import write_shapes
from tests.study.explorer.cases import unpacked

SAMPLES = Path(explore.__file__).parent / "samples"
RNG = np.random.default_rng(0)
SPLIT = Split(RNG.integers(0, 256, (40, 8, 12), np.uint8), RNG.integers(0, 3, 40))
DIGITS = Digits(SPLIT, SPLIT, ["a", "b", "c"])


@pytest.fixture(autouse=True)
def opened(monkeypatch):
    """The addresses that were opened in a browser."""
    addresses = []
    monkeypatch.setattr(explore.webbrowser, "open", lambda url: addresses.append(url) or True)
    return addresses


@pytest.fixture(autouse=True)
def few_digits(monkeypatch, tmp_path):
    """Instead of MNIST, so that a page takes no time; and no runs but those that a test makes."""
    monkeypatch.setattr(minivit, "load_digits", lambda source: DIGITS)
    monkeypatch.chdir(tmp_path)


def saved(folder, classes, **sizes):
    """The name of a run's folder, with an untrained model whose head is random."""
    sizes = dict(image_size=(8, 12), patch_size=4, channels=1) | sizes
    model = minivit.ViT(**sizes, dim=6, depth=1, heads=2, mlp_dim=5, classes=len(classes))
    params = minivit.Params(model.init(np.random.default_rng(0)))
    params["head"]["w"][...] = np.random.default_rng(1).standard_normal((6, len(classes)))
    Path(folder).mkdir(parents=True)
    minivit.Classifier(model, params, Normalize(0.5, 0.3), classes).save(folder)
    started = {"options": {"data": "mnist"}}
    write_json(Path(folder, "training.json"), started, write_summed)
    return folder


@pytest.fixture
def run():
    return saved("run", DIGITS.classes)


@pytest.fixture
def reader():
    """A run of a model that reads MNIST's digits."""
    return saved("reader", [str(number) for number in range(10)], image_size=28, patch_size=14)


def data_of(page="page.html"):
    text = re.search(r'type="application/json">(.*?)</script>', Path(page).read_text("utf-8"))[1]
    return json.loads(text)


def pixels_of(digit, *shape):
    return unpacked(digit["pixels"], np.uint8).reshape(shape)


def test_writes_the_page_of_a_run_into_its_folder_and_opens_it(run, opened, capsys):
    assert explore.main([run]) == 0
    path = Path("run", "explorer.html")
    assert opened == [path.resolve().as_uri()]
    data = data_of(path)
    expected = chosen(minivit.Classifier.load(run), *SPLIT)
    assert [digit["name"] for digit in data["digits"]] == [digit.name for digit in expected]
    assert (data["start"], data["drawing"], data["classes"]) == (0, False, ["a", "b", "c"])
    printed = capsys.readouterr().out
    assert f"{expected[0].name.capitalize()}; for another: --digit N" in printed
    assert re.search(rf"^{path}: 0.\d MB$", printed, re.MULTILINE)
    assert re.search(r"\nNext, .*attention_backprop run\n$", printed)


def test_the_digit_that_was_asked_for_comes_first(run, capsys):
    assert explore.main([run, "--digit", "7", "--write", "page.html"]) == 0
    first, *others = data_of()["digits"]
    assert (first["label"], first["name"]) == (SPLIT.labels[7], "test image 7")
    np.testing.assert_array_equal(pixels_of(first, 8, 12), SPLIT.images[7])
    assert len(others) > 9 and first not in others
    assert "Test image 7;" in capsys.readouterr().out
    assert not Path("run", "explorer.html").exists()


def test_the_label_of_a_digit_can_be_given(run):
    options = ["--digit", "7", "--label", "b", "--write", "page.html"]
    assert explore.main([run, *options]) == 0
    assert data_of()["digits"][0]["label"] == 1


def test_without_a_browser_it_says_where_the_page_is(run, opened, monkeypatch, capsys):
    assert explore.main([run, "--write", "page.html", "--no-browser"]) == 0
    assert opened == []
    assert re.search(r"^page.html: .* MB; open it in a browser$", capsys.readouterr().out, re.M)
    monkeypatch.setattr(explore.webbrowser, "open", lambda url: False)  # there is none
    assert explore.main([run, "--write", "page.html"]) == 0
    assert "MB; open it in a browser\n" in capsys.readouterr().out


def test_a_missing_picture_is_refused_before_a_model_trains(monkeypatch, capsys):
    monkeypatch.setattr(digit, "fit", lambda *args, **more: pytest.fail("a model trains"))
    assert explore.main(["--image", "missing.png"]) == 2
    assert "missing.png" in capsys.readouterr().err


def test_a_picture_is_read_as_predict_reads_it(reader, capsys):
    """The photo of a five was a smudge here, and "This is 8"."""
    photo = str(SAMPLES / "five-photo.jpg")
    assert explore.main([reader, "--image", photo, "--write", "page.html"]) == 0
    printed = capsys.readouterr().out
    assert predict.main([reader, photo, "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    best, probability = answer["class"], answer["probability"]
    assert f"The model reads {best} ({probability:.1%})." in printed and "his is" not in printed
    data = data_of()
    (first,) = data["digits"]  # the test images are of another size, as the next test says
    assert (first["label"], first["name"], first["warnings"]) == (None, "your picture", [])
    assert data["drawing"] is True
    pixels, _ = minivit.Classifier.load(reader).read(photo)
    np.testing.assert_array_equal(pixels_of(first, 28, 28, 1), pixels)


def test_a_picture_comes_before_the_test_images_if_there_are_any(reader, monkeypatch, capsys):
    options = [reader, "--image", str(SAMPLES / "five-photo.jpg"), "--write", "page.html"]
    assert explore.main(options) == 0
    alone = r"explore: it is the only image on the page: the images of mnist are \[8, 12, 1\]; .*"
    assert re.fullmatch(alone, capsys.readouterr().err.strip())
    assert explore.main([*options, "--data", "mnist"]) == 2
    images = RNG.integers(0, 256, (40, 28, 28), np.uint8)
    split = Split(images, minivit.Classifier.load(reader).logits(images).argmax(axis=1))
    digits = Digits(split, split, [str(number) for number in range(10)])
    monkeypatch.setattr(minivit, "load_digits", lambda source: digits)
    assert explore.main(options) == 0
    others = chosen(minivit.Classifier.load(reader), *split)
    expected = ["your picture", *(digit.name for digit in others[:29])]
    assert len(others) == 30
    assert [digit["name"] for digit in data_of()["digits"]] == expected


def test_the_label_of_a_picture_can_be_given(reader):
    options = ["--image", str(SAMPLES / "five-photo.jpg"), "--label", "5"]
    assert explore.main([reader, *options, "--write", "page.html"]) == 0
    assert data_of()["digits"][0]["label"] == 5


def test_warnings_about_a_picture_are_printed_and_on_the_page(reader, capsys):
    paper = np.full((80, 80), 255, np.uint8)
    for x in (20, 40, 60):
        cv2.circle(paper, (x, 40), 5, 0, -1)
    cv2.imwrite("dots.png", paper)
    assert explore.main([reader, "--image", "dots.png", "--write", "page.html"]) == 0
    _, warnings = minivit.Classifier.load(reader).read("dots.png")
    assert warnings and data_of()["digits"][0]["warnings"] == warnings
    assert f"this may not be a digit: {'; '.join(warnings)}" in capsys.readouterr().err


def test_a_transparent_picture_works(reader):
    image = np.zeros((60, 60, 4), np.uint8)
    cv2.imwrite("transparent.png", cv2.line(image, (30, 10), (30, 50), (0, 0, 0, 255), 6))
    assert explore.main([reader, "--image", "transparent.png", "--write", "page.html"]) == 0
    pixels = pixels_of(data_of()["digits"][0], 28, 28)
    assert pixels[:, :10].max() == 0 < pixels[:, 12:16].max()


def test_a_run_of_colour_images_has_a_page_too(tmp_path):
    write_shapes("shapes", 6)
    classes = sorted(path.name for path in Path("shapes").iterdir())
    saved("colours", classes, channels=3)
    assert explore.main(["colours", "--data", "shapes", "--write", "page.html"]) == 0
    data = data_of()
    classifier = minivit.Classifier.load("colours")
    assert data["model"]["channels"] == 3 and data["drawing"] is False
    assert len(data["mean"]) == len(data["std"]) == 3
    files = {classifier.read(path)[0].tobytes() for path in Path("shapes").rglob("*.*")}
    shown = {pixels_of(digit, 8 * 12 * 3).tobytes() for digit in data["digits"]}
    assert shown <= files and len(shown) > 3


def test_a_model_too_large_for_a_page_is_refused_in_one_line(run, monkeypatch, capsys):
    monkeypatch.setattr("minivit.study.explorer.page.MOST_PARAMETERS", 100)
    monkeypatch.setattr(minivit, "load_digits", lambda source: pytest.fail("it reads images"))
    assert explore.main([run]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(r"explore: run: the page computes in the browser, at most 100 param", line)
    assert line.endswith("attention_backprop run")


def test_the_test_images_are_those_of_the_data_that_the_run_was_trained_on(run, monkeypatch):
    started = {"options": {"data": "fashion-mnist"}}
    write_json(Path(run, "training.json"), started, write_summed)
    sources = []
    monkeypatch.setattr(minivit, "load_digits", lambda source: sources.append(source) or DIGITS)
    assert explore.main([run, "--write", "page.html"]) == 0
    assert explore.main([run, "--data", "other", "--write", "page.html"]) == 0
    assert sources == ["fashion-mnist", "other"]


def test_without_a_run_a_model_trains(monkeypatch, capsys, opened):
    epochs = []
    monkeypatch.setattr(digit, "fit", lambda *args, **more: epochs.append(more["epochs"]))
    monkeypatch.setattr(digit, "TRAINING", ["--epochs", "2", "--patch-size", "4"])
    assert explore.main([]) == 0
    assert epochs == [2]
    printed = capsys.readouterr().out
    assert "There is no runs/mnist yet, so a model trains" in printed
    assert opened == [Path("runs", "explorer.html").resolve().as_uri()]
    assert data_of("runs/explorer.html")["classes"] == DIGITS.classes
    assert printed.rstrip().endswith("attention_backprop")


def test_takes_runs_mnist_if_it_is_there(monkeypatch):
    saved("runs/mnist", DIGITS.classes)
    monkeypatch.setattr(digit, "fit", None)
    assert explore.main([]) == 0
    assert data_of("runs/mnist/explorer.html")["classes"] == DIGITS.classes


def test_an_empty_name_is_not_taken_for_the_default_run(capsys):
    with pytest.raises(SystemExit):
        explore.main([""])
    assert "argument RUN: expected a run's folder, such as runs/mnist, got ''" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "options, message",
    [
        (["nowhere"], "nowhere is not a run"),
        (["run", "--digit", "40"], "test images are numbered 0 to 39, got 40"),
        (["run", "--digit", "-1"], "test images are numbered 0 to 39, got -1"),
        (["run", "--label", "x"], "--label: 'x' is none of a, b, c"),
        (["run", "--image", "missing.png"], "No such file"),
        (["unknown"], "unknown does not say what it was trained on; give --data, such as mnist"),
        (["damaged"], "damaged does not say what it was trained on; give --data, such as mnist"),
    ],
)
def test_says_what_is_wrong(run, options, message, capsys):
    Path(saved("unknown", DIGITS.classes), "training.json").unlink()
    started = Path(saved("damaged", DIGITS.classes), "training.json")
    write_json(started, {"options": {"data": 3}}, write_summed)
    assert explore.main(options) == 2
    assert message in capsys.readouterr().err
