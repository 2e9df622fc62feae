import contextlib
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

SAMPLES = Path(explore.__file__).parent / "samples"
RNG = np.random.default_rng(0)
SPLIT = Split(RNG.integers(0, 256, (40, 8, 12), np.uint8), RNG.integers(0, 3, 40))
DIGITS = Digits(SPLIT, SPLIT, ["a", "b", "c"])


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


def test_writes_the_page_of_a_test_image(run, capsys):
    assert explore.main([run, "--digit", "7", "--write", "page.html"]) == 0
    data = data_of()
    assert (data["label"], data["labelled"]) == (SPLIT.labels[7], True)
    assert data["pixels"] == SPLIT.images[7].tolist()
    printed = capsys.readouterr().out
    assert "Test image 7;" in printed and "MB; open it" in printed
    assert re.search(r"\nNext, .*attention_backprop run\n$", printed)


def test_a_missing_picture_is_refused_before_a_model_trains(monkeypatch, capsys):
    monkeypatch.setattr(digit, "fit", lambda *args, **more: pytest.fail("a model trains"))
    assert explore.main(["--image", "missing.png"]) == 2
    assert "missing.png" in capsys.readouterr().err


def test_without_a_digit_it_is_the_one_with_the_lowest_probability_of_its_label(run, capsys):
    assert explore.main([run, "--write", "page.html"]) == 0
    number = int(re.search(r"Test image (\d+);", capsys.readouterr().out)[1])
    classifier = minivit.Classifier.load(run)
    losses = [minivit.cross_entropy(classifier.logits(SPLIT.images[n : n + 1]),
                                    SPLIT.labels[n : n + 1])[0] for n in range(40)]  # fmt: skip
    assert number == np.argmax(losses)


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
    assert (str(data["label"]), data["labelled"], data["warnings"]) == (best, False, [])
    pixels, _ = minivit.Classifier.load(reader).read(photo)
    assert data["pixels"] == pixels[:, :, 0].tolist()


def test_the_label_of_a_picture_can_be_given(reader):
    options = ["--image", str(SAMPLES / "five-photo.jpg"), "--label", "5"]
    assert explore.main([reader, *options, "--write", "page.html"]) == 0
    data = data_of()
    assert (data["label"], data["labelled"]) == (5, True)


def test_warnings_about_a_picture_are_printed_and_on_the_page(reader, capsys):
    paper = np.full((80, 80), 255, np.uint8)
    for x in (20, 40, 60):
        cv2.circle(paper, (x, 40), 5, 0, -1)
    cv2.imwrite("dots.png", paper)
    assert explore.main([reader, "--image", "dots.png", "--write", "page.html"]) == 0
    _, warnings = minivit.Classifier.load(reader).read("dots.png")
    assert warnings and data_of()["warnings"] == warnings
    assert f"this may not be a digit: {'; '.join(warnings)}" in capsys.readouterr().err


def test_a_transparent_picture_works(reader):
    image = np.zeros((60, 60, 4), np.uint8)
    cv2.imwrite("transparent.png", cv2.line(image, (30, 10), (30, 50), (0, 0, 0, 255), 6))
    assert explore.main([reader, "--image", "transparent.png", "--write", "page.html"]) == 0
    pixels = np.array(data_of()["pixels"])
    assert pixels[:, :10].max() == 0 < pixels[:, 12:16].max()


def test_a_run_of_colour_images_is_refused_in_one_line(monkeypatch, capsys):
    saved("colours", ["a", "b"], channels=3)
    monkeypatch.setattr(digit, "DEFAULT", Path("colours"))
    for options in ([], ["colours"], ["colours", "--image", str(SAMPLES / "five-photo.jpg")]):
        assert explore.main(options) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "colours reads colour images, the page shows grey" in line
        assert line.endswith("attention_backprop colours")


def test_the_test_images_are_those_of_the_data_that_the_run_was_trained_on(run, monkeypatch):
    started = {"options": {"data": "fashion-mnist"}}
    write_json(Path(run, "training.json"), started, write_summed)
    sources = []
    monkeypatch.setattr(minivit, "load_digits", lambda source: sources.append(source) or DIGITS)
    assert explore.main([run, "--write", "page.html"]) == 0
    assert explore.main([run, "--data", "other", "--write", "page.html"]) == 0
    assert sources == ["fashion-mnist", "other"]


def test_without_a_run_a_model_trains(monkeypatch, capsys):
    epochs = []
    monkeypatch.setattr(digit, "fit", lambda *args, **more: epochs.append(more["epochs"]))
    monkeypatch.setattr(digit, "TRAINING", ["--epochs", "2", "--patch-size", "4"])
    assert explore.main(["--write", "page.html"]) == 0
    assert epochs == [2]
    assert "There is no runs/mnist yet, so a model trains" in capsys.readouterr().out


def test_takes_runs_mnist_if_it_is_there(monkeypatch):
    saved("runs/mnist", DIGITS.classes)
    monkeypatch.setattr(digit, "fit", None)
    assert explore.main(["--write", "page.html"]) == 0


def test_serves_the_page_and_opens_a_browser(monkeypatch, run, capsys):
    opened = []
    monkeypatch.setattr(explore.webbrowser, "open", opened.append)

    @contextlib.contextmanager
    def serve(record, data):
        with explore_serve(record, data) as server:
            server.serve_forever = lambda: (_ for _ in ()).throw(KeyboardInterrupt)
            yield server

    explore_serve = explore.serve
    monkeypatch.setattr(explore, "serve", serve)
    assert explore.main([run]) == 0
    (url,) = re.findall(r"http://127.0.0.1:\d+/", capsys.readouterr().out)
    assert opened == [url]
    assert explore.main([run, "--no-browser"]) == 0
    assert len(opened) == 1


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
