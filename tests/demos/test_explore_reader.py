"""The explorer's page of a run of demos.read."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import minivit
from demos import explore
from minivit.checksums import write_summed
from minivit.data.strips import HEIGHT, WIDTH, Strips
from minivit.files import write_json
from minivit.transcriber import Transcriber
from tests.demos.test_explore import data_of, pixels_of
from tests.test_transcriber import untrained

SIZES = dict(image_size=(HEIGHT, WIDTH), patch_size=(HEIGHT, 4), longest=8)
WRITTEN = ["--no-browser", "--write", "page.html"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The folder of an untrained reader of digits."""
    monkeypatch.chdir(tmp_path)
    return saved("runs/read")


def saved(folder, **changes):
    Path(folder).mkdir(parents=True)
    untrained("0123456789", **SIZES | changes).save(folder)
    started = {"options": {"task": "read", "seed": 0, "test_strips": 20}}
    write_json(Path(folder, "training.json"), started, write_summed)
    return folder


def strips():
    return Strips(minivit.load_digits().test, 20, seed=2)


def last_line(capsys):
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_writes_the_page_of_a_reader_with_strips_of_its_test(run, capsys):
    assert explore.main([run, "--no-browser"]) == 0
    data = data_of(Path(run, "explorer.html"))
    assert (data["kind"], data["classes"]) == ("Reader", ["padding", "the begin", "the end",
                                                          *"0123456789"])  # fmt: skip
    assert len(data["digits"]) == 12
    for digit in data["digits"]:
        strip = strips()[int(digit["name"].removeprefix("test strip "))]
        assert digit["label"] == strip.text
        np.testing.assert_array_equal(pixels_of(digit, HEIGHT, WIDTH, 1), strip.image)
    printed = capsys.readouterr().out
    assert f"{data['digits'][0]['name'].capitalize()}; for another: --digit N" in printed
    assert printed.rstrip().endswith(f"attention_backprop {run}")


def test_the_strip_that_was_asked_for_comes_first_with_another_text(run):
    assert explore.main([run, "--digit", "7", "--label", "31", *WRITTEN]) == 0
    first, *others = data_of()["digits"]
    assert (first["name"], first["label"]) == ("test strip 7", "31")
    assert first["tokens"] == [1, 6, 4, 2, *[0] * 6]
    assert "test strip 7" not in [digit["name"] for digit in others] and len(others) == 11


def test_a_picture_is_read_as_the_reader_reads_it(run, capsys):
    image = 255 - cv2.resize(strips()[3].image[:, :, 0], None, fx=4, fy=4)
    cv2.imwrite("line.png", image)
    assert explore.main([run, "--image", "line.png", *WRITTEN]) == 0
    transcriber = Transcriber.load(run)
    pixels, warnings = transcriber.read("line.png")
    (reading,) = transcriber.transcribe(pixels[None])
    first, *others = data_of()["digits"]
    assert (first["name"], first["label"], first["reads"]) == ("your picture", None, reading.text)
    assert first["warnings"] == warnings and len(others) == 11
    np.testing.assert_array_equal(pixels_of(first, HEIGHT, WIDTH, 1), pixels)
    printed = capsys.readouterr().out
    assert f"The model reads {reading.text} ({reading.probability:.1%})." in printed
    Path(run, "training.json").unlink()
    assert explore.main([run, "--image", "line.png", *WRITTEN]) == 0
    assert "it is the only strip on the page: runs/read does not say which" in last_line(capsys)
    assert len(data_of()["digits"]) == 1


@pytest.mark.parametrize(
    "options, message",
    [
        (["--digit", "20"], "--digit: test strips are numbered 0 to 19, got 20"),
        (["--label", "12a"], "'a' is not in the vocabulary"),
        (["--label", "123456789"], "a text of 9 characters; expected 8 at most"),
        (["--data", "mnist"], "--data: a reader is shown the strips that its run was tested on"),
        (["--image", "missing.png"], "No such file"),
    ],
)
def test_what_cannot_work_ends_in_one_line(run, options, message, capsys):
    assert explore.main([run, *options, *WRITTEN]) == 2
    assert message in last_line(capsys)


@pytest.mark.parametrize("changes", [dict(positions="rotary"), dict(decoder_positions="rotary")])
def test_rotary_positions_are_refused_in_one_line(run, changes, capsys):
    other = saved("runs/rotary", **changes)
    assert explore.main([other, *WRITTEN]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("explore: runs/rotary: the page does not compute rotary positions")
    assert not Path("page.html").exists()
