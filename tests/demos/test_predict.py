import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import minivit
from demos import predict
from docs.explorer import build
from tests.data.server import serving
from tests.printed_signs import FONTS, LETTERS, boxed, printed, printed_answers, ruled
from tests.saved_runs import DIGITS, save_untrained

SAMPLES = Path(predict.__file__).parent / "samples"
THREE = str(SAMPLES / "three-drawn.png")


@pytest.fixture(autouse=True)
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_untrained("run")


def answers(capsys, *options, run="run"):
    predict.main([run, *map(str, options), "--json"])
    return json.loads(capsys.readouterr().out)


def expected_of(path, run="run"):
    """The probabilities of a picture by name."""
    classifier = minivit.Classifier.load(run)
    (probabilities,) = classifier.predict([classifier.read(path)[0]])
    return pytest.approx(dict(zip(classifier.classes, probabilities, strict=True)))


def test_json_has_all_probabilities(capsys):
    paths = [THREE, str(SAMPLES / "five-photo.jpg")]
    replies = answers(capsys, *paths)
    assert [reply["image"] for reply in replies] == paths
    for reply, path in zip(replies, paths, strict=True):
        probabilities = reply["probabilities"]
        assert probabilities == expected_of(path)
        assert reply["class"] == max(DIGITS, key=probabilities.get)
        assert reply["probability"] == max(probabilities.values())


def test_a_line_for_each_picture_and_what_to_try_next(capsys):
    paths = [str(path) for path in sorted(SAMPLES.iterdir())]
    assert predict.main(["run", *paths]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines if "%  (" in line] == paths
    assert lines[-1].endswith(f"explore run --image {paths[0]}")


def test_for_a_model_too_large_for_the_explorer_it_proposes_the_walk(capsys, monkeypatch):
    monkeypatch.setattr(predict, "MOST_PARAMETERS", 100)
    assert predict.main(["run", THREE]) == 0
    assert capsys.readouterr().out.endswith("attention_backprop run\n")


def test_a_name_that_is_not_text(capsys):
    name = os.fsdecode(b"caf\xe9.png")
    Path(name).write_bytes(Path(THREE).read_bytes())
    assert predict.main(["run", name]) == 0
    assert capsys.readouterr().out.startswith("caf\\udce9.png: ")


def test_warns_of_what_may_not_be_a_digit(capsys, monkeypatch):
    monkeypatch.setattr(predict, "SURE", 0)
    cv2.imwrite("white.png", np.full((50, 40), 255, np.uint8))
    cv2.imwrite("W.png", printed("DejaVuSans", "W", np.random.default_rng(0)))
    white, three, letter = answers(capsys, "white.png", THREE, "W.png")
    assert white["warnings"] == ["nothing stands out from the background"]
    assert three["warnings"] == []
    unlike = r"the most similar digit of MNIST is only \d\d% like it"
    assert re.fullmatch(unlike, *letter["warnings"])
    monkeypatch.setattr(predict, "SURE", 1.1)
    assert predict.main(["run", THREE]) == 0
    assert "\n  this may not be a digit: the model is only " in capsys.readouterr().out


def test_pictures_from_the_web_and_what_cannot_be_read(capsys, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    Path("bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with serving({"/3.png": Path(THREE).read_bytes()}) as web:
        status = predict.main(["run", "bad.png", f"{web}/3.png", f"{web}/4.png", "--json"])
    printed = capsys.readouterr()
    bad, good, missing = json.loads(printed.out)
    assert status == 2
    errors = [line.removeprefix("predict: ") for line in printed.err.splitlines()]
    assert [bad, missing] == [
        {"image": "bad.png", "error": errors[0]},
        {"image": f"{web}/4.png", "error": errors[1]},
    ]
    assert "404" in missing["error"]
    assert good["class"] in DIGITS


def test_the_attention_is_drawn_a_row_for_each(capsys):
    assert predict.main(["run", THREE, "--attention", "one.png"]) == 0
    assert predict.main(["run", THREE, THREE, "--attention", "two.png"]) == 0
    assert "Written: two.png" in capsys.readouterr().err
    one, two = cv2.imread("one.png"), cv2.imread("two.png")
    assert one.std() > 20
    assert two.shape[0] > 1.6 * one.shape[0]


def test_a_run_on_other_classes_gives_no_warnings_of_digits(capsys):
    cv2.imwrite("red.png", np.full((80, 120, 3), (0, 0, 255), np.uint8))
    for channels in (3, 1):
        run = f"run-{channels}"
        sizes = dict(image_size=(8, 12), patch_size=4, channels=channels)
        save_untrained(run, ["cat", "dog"], **sizes)
        (reply,) = answers(capsys, "red.png", "--attention", "out.png", run=run)
        assert reply["probabilities"] == expected_of("red.png", run)
        assert reply["warnings"] == []  # however unsure it is
    assert cv2.imread("out.png").std() > 20


@pytest.mark.parametrize(
    "options, message",
    [
        (["nowhere", "a.png"], "nowhere is not a run: it has no config.json"),
        (["run", "nowhere.png"], "there is no image nowhere.png"),
    ],
)
def test_what_cannot_work_ends_in_one_line_and_status_2(capsys, options, message):
    assert predict.main(options) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("predict: ")
    assert message in printed
    assert len(printed.splitlines()) == 1


@pytest.mark.parametrize("change", [ruled, boxed])
def test_printed_signs_are_drawn_in_all_fonts_and_read(change):
    page = printed("DejaVuSans", "3", np.random.default_rng(0))
    assert (change(page) < page).any() and not (change(page) > page).any()
    answers = printed_answers(minivit.Classifier.load("run"), "30", 1, 0, change)
    assert [sign for sign, _ in answers] == ["3", "0"] * len(FONTS)
    assert all(answer["class"] in DIGITS for _, answer in answers)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_printed_digits_of_five_fonts_are_read():
    """By the default run, which the explorer's page holds."""
    classifier, _ = build.held(build.PAGE.read_text(encoding="utf-8"))
    replies = printed_answers(classifier, DIGITS, 4, 0)
    right = np.reshape([reply["class"] == sign for sign, reply in replies], (len(FONTS), -1))
    assert right.mean() >= 0.9, right.mean(axis=1)
    assert right.mean(axis=1).min() >= 0.8, right.mean(axis=1)
    letters = printed_answers(classifier, LETTERS, 1, 0)
    assert np.mean([bool(reply["warnings"]) for _, reply in letters]) >= 0.65
