import contextlib
import re

import cv2
import numpy as np
import pytest

import minivit
from demos import digit, explore
from minivit.data.digits import Digits, Split
from minivit.data.normalize import Normalize
from minivit.training import save_run

RNG = np.random.default_rng(0)
SPLIT = Split(RNG.integers(0, 256, (40, 8, 12), np.uint8), RNG.integers(0, 3, 40))
DIGITS = Digits(SPLIT, SPLIT, ["a", "b", "c"])


@pytest.fixture(autouse=True)
def few_digits(monkeypatch, tmp_path):
    """Instead of MNIST, so that a page takes no time; and no runs but those that a test makes."""
    monkeypatch.setattr(minivit, "load_digits", lambda source: DIGITS)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(tmp_path):
    model = minivit.ViT(
        image_size=(8, 12), patch_size=4, channels=1, dim=6, depth=1, heads=2, mlp_dim=5, classes=3
    )
    params = minivit.Params(model.init(np.random.default_rng(0)))
    params["head"]["w"][...] = np.random.default_rng(1).standard_normal((6, 3))
    folder = tmp_path / "run"
    folder.mkdir()
    rows = [dict(step=1, loss=1.0)]
    save_run(folder, model, params, Normalize(0.5, 0.3), DIGITS.classes, rows)
    return str(folder)


def label_of(page):
    return int(re.search(r'"label": (\d+)', page.read_text(encoding="utf-8"))[1])


def test_writes_the_page_of_a_test_digit(run, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert explore.main([run, "--digit", "7", "--write", str(page)]) == 0
    assert label_of(page) == SPLIT.labels[7]
    assert f'"pixels": {SPLIT.images[7].tolist()}' in page.read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    assert "Test digit 7;" in printed and "MB, made in" in printed


def test_a_page_of_many_numbers_is_said_to_be_large(run, tmp_path, capsys, monkeypatch):
    options = [run, "--digit", "7", "--write", str(tmp_path / "page.html")]
    assert explore.main(options) == 0
    assert "much for one file" not in capsys.readouterr().out
    monkeypatch.setattr(explore, "LARGE", 1000)
    assert explore.main(options) == 0
    assert "much for one file: it holds every number" in capsys.readouterr().out


def test_a_missing_picture_is_refused_before_a_model_learns(monkeypatch, capsys):
    monkeypatch.setattr(digit, "fit", lambda *args, **more: pytest.fail("a model learns"))
    assert explore.main(["--image", "missing.png"]) == 2
    assert "missing.png" in capsys.readouterr().err


def test_without_a_digit_it_is_the_most_wrong_one(run, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert explore.main([run, "--write", str(page)]) == 0
    number = int(re.search(r"Test digit (\d+);", capsys.readouterr().out)[1])
    losses = []
    for number_of in range(40):
        assert explore.main([run, "--digit", str(number_of), "--write", str(page)]) == 0
        losses.append(float(re.search(r'"loss": ([^,]+)', page.read_text(encoding="utf-8"))[1]))
    assert number == np.argmax(losses)


def test_a_picture_is_what_the_model_says_unless_it_is_told(run, tmp_path):
    page, picture = tmp_path / "page.html", tmp_path / "digit.png"
    paper = np.full((60, 60), 250, np.uint8)
    cv2.imwrite(str(picture), cv2.line(paper, (20, 10), (40, 50), 0, 5))
    options = [run, "--image", str(picture), "--write", str(page)]
    assert explore.main(options) == 0
    said = label_of(page)
    other = (said + 1) % 3
    assert explore.main([*options, "--label", DIGITS.classes[other]]) == 0
    assert label_of(page) == other


def test_without_a_run_a_model_learns(monkeypatch, tmp_path, capsys):
    taught = []
    monkeypatch.setattr(digit, "fit", lambda *args, **more: taught.append(more["epochs"]))
    monkeypatch.setattr(digit, "PATCH", 4)
    assert explore.main(["--write", str(tmp_path / "page.html")]) == 0
    assert taught == [2]
    assert "There is no runs/mnist yet, so a model learns" in capsys.readouterr().out


def test_takes_runs_mnist_where_it_is(monkeypatch, run, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "run").rename(tmp_path / "runs" / "mnist")
    monkeypatch.setattr(digit, "fit", None)
    assert explore.main(["--write", str(tmp_path / "page.html")]) == 0


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


@pytest.mark.parametrize(
    "options, message",
    [
        (["nowhere"], "nowhere is no run"),
        (["RUN", "--digit", "40"], "test digits 0 to 39, got 40"),
        (["RUN", "--digit", "-1"], "test digits 0 to 39, got -1"),
        (["RUN", "--label", "x"], "--label: 'x' is none of a, b, c"),
        (["RUN", "--image", "missing.png"], "No such file"),
    ],
)
def test_says_what_is_wrong(run, options, message, capsys):
    options = [run if option == "RUN" else option for option in options]
    assert explore.main(options) == 2
    assert message in capsys.readouterr().err


def test_the_data_must_be_the_runs(run, monkeypatch, capsys):
    monkeypatch.setattr(minivit, "load_digits", lambda source: DIGITS._replace(classes=["x", "y"]))
    assert explore.main([run]) == 2
    assert "the run knows a, b, c, the data x, y; give the data set" in capsys.readouterr().err


def test_a_picture_and_a_digit_are_one_too_many():
    with pytest.raises(SystemExit):
        explore.arguments(["--image", "x.png", "--digit", "3"])
    with pytest.raises(SystemExit):
        explore.arguments(["--write", "nowhere/page.html"])
