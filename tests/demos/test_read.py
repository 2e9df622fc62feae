import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from demos import read
from demos.read import digits_right, examples
from minivit.transcriber import Reading, Transcriber
from tests.demos.digit_runs import assert_same, last_error, proposed
from tests.demos.resumed import (
    expect_the_same_after_a_kill,
    expect_the_same_after_ctrl_c,
    names,
)
from tests.samples import sample
from tests.test_transcriber import untrained

SHORT = [
    "--dim=8", "--depth=1", "--decoder-depth=1", "--heads=2", "--mlp-dim=8", "--epochs=2",
    "--batch-size=4", "--shards=1", "--strips=12", "--test-strips=6",
]  # fmt: skip
FILES = {
    "checkpoints", "checksums.json", "config.json", "curves.png", "letters.png", "metrics.csv",
    "readings.png", "result.json", "training.json", "weights.safetensors",
}  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("task", read.TASKS)
def test_leaves_a_complete_run_and_says_how_good_it_is(task, capsys):
    assert read.main([*SHORT, "--task", task, "--json", "out.json"]) == 0
    printed = capsys.readouterr().out
    assert names(f"runs/{task}") == FILES
    for picture in Path("runs", task).glob("*.png"):
        assert cv2.imread(str(picture)).std() > 5
    result = json.loads(Path("runs", task, "result.json").read_text())
    short = json.loads(Path("out.json").read_text())
    share = "strips_right" if task == "read" else "sums_right"
    assert list(short) == [share, "digits_right", "seconds", "parameters"]
    assert short == {name: result[name] for name in short}
    assert (result["steps"], result["strips"]) == (6, 6) and 0 <= result[share] <= 1
    transcriber = Transcriber.load(f"runs/{task}")
    assert transcriber.params.flat.size == result["parameters"]
    assert "".join(transcriber.classes) == read.TASKS[task].characters
    assert transcriber.model.config["longest"] == read.TASKS[task].longest
    assert "What is written, what was read, and how sure it was:" in printed
    assert f"Of 6 strips that were not trained on, {short[share]:.2%} are right" in printed
    assert proposed(printed.splitlines()[-1], "read") == ["--run", f"runs/{task}", "PHOTO"]


def test_no_digit_of_the_test_was_trained_on(monkeypatch):
    drawn = []  # the digits of which strips to learn from, to validate and to test are made
    strips = read.Strips
    monkeypatch.setattr(
        read,
        "Strips",
        lambda digits, *rest, **given: drawn.append(digits) or strips(digits, *rest, **given),
    )
    read.load(read.arguments(SHORT))
    learned, *others = ({image.tobytes() for image in digits.images} for digits in drawn)
    assert [len(learned) >= 54_000, len(others)] == [True, 2]
    assert not any(learned & some for some in others)


@pytest.mark.parametrize("task", sample(read.TASKS, 2))
def test_labels_have_room_for_every_text_and_answers_are_sums(task):
    data, _ = read.load(read.arguments([*SHORT, "--task", task, "--test-strips=2000"]))
    learned, validating = data.train, data.validation
    assert (learned.images.shape, validating.images.shape) == (
        (12, 28, 160, 1),
        (1000, 28, 160, 1),
    )
    assert learned.labels.shape == (12, read.TASKS[task].longest + 2)
    assert len(data.test.labels) == 2000 == read.arguments([]).test_strips
    if task == "answer":
        assert all(20 <= int(text) <= 198 for text in data.test.labels)
    if task == "working":
        for text in data.test.labels:
            one, other, total = map(int, text.replace("+", "=").split("="))
            assert one + other == total


def test_ctrl_c_stops_and_saves_and_it_resumes_to_the_same_weights(monkeypatch, capsys):
    expect_the_same_after_ctrl_c(read, SHORT, monkeypatch, capsys)
    assert names("runs/stopped") == FILES


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights():
    expect_the_same_after_a_kill(read, [*SHORT, "--strips=60"])


def test_two_processes_learn_the_same_as_one(monkeypatch):
    assert read.main([*SHORT, "--shards=2", "--run", "two"]) == 0
    monkeypatch.setattr("minivit.training.workers.cores", lambda: 1)
    assert read.main([*SHORT, "--shards=2", "--run", "one"]) == 0
    assert_same("runs/one", "runs/two")


def write_photo(name="photo.png"):
    paper = np.tile(np.linspace(200, 240, 700), (300, 1))
    for column in (200, 300, 400):
        cv2.ellipse(paper, (column, 150), (25, 40), 0, 0, 360, 40, 9)
    cv2.imwrite(name, paper)


def reader_of_digits(folder):
    transcriber = untrained("0123456789", image_size=(32, 160), patch_size=(32, 4), longest=8)
    Path(folder).mkdir(parents=True)
    transcriber.save(folder)
    return transcriber


def test_reads_a_photo_and_draws_what_is_behind_each_letter(capsys):
    transcriber = reader_of_digits("runs/read")
    write_photo()
    assert read.main(["photo.png", "--out", "behind.png"]) == 0
    pixels, _ = transcriber.read("photo.png")
    (reading,) = transcriber.transcribe(pixels[None], read.BEAM)
    expected = f"photo.png: {reading.text}  {reading.probability:.1%}"
    assert capsys.readouterr().out.splitlines() == [expected]
    assert cv2.imread("behind.png").std() > 5


def test_a_blank_page_has_a_warning_and_a_missing_one_is_an_error(capsys):
    reader_of_digits("elsewhere")
    cv2.imwrite("blank.png", np.full((100, 300), 220.0))
    assert read.main(["--run", "elsewhere", "blank.png"]) == 0
    assert "  nothing stands out from the background" in capsys.readouterr().out
    assert read.main(["--run", "elsewhere", "missing.png"]) == 2
    assert "there is no image missing.png" in last_error(capsys)


def test_a_run_of_another_kind_is_refused(capsys):
    from tests.saved_runs import untrained as classifier

    Path("run").mkdir()
    classifier().save("run")
    write_photo()
    assert read.main(["--run", "run", "photo.png"]) == 2
    assert "it is of the kind ViT; expected Reader" in last_error(capsys)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--augment", "flip"], "--augment would turn and move what is to be read"),
        (["--epochs", "0"], "--epochs must be greater than 0"),
        (["--patch-size", "32", "4", "1"], "--patch-size is one number or two"),
        (["--task", "write"], "invalid choice"),
    ],
)
def test_refuses_options_that_cannot_work(options, message, capsys):
    with pytest.raises(SystemExit):
        read.arguments(options)
    assert message in capsys.readouterr().err


def test_digits_are_right_at_their_place():
    readings = [Reading("123", 0.9), Reading("45", 0.8), Reading("6789", 0.7)]
    assert digits_right(readings, ["123", "456", "689"]) == 6 / 9
    shown = examples(readings, ["123", "456", "689"])
    assert shown.count("456") == 2 and shown.count("123 ") == 2  # once, as text and as reading
    assert "Of the mistakes:" in shown and "Of the mistakes:" not in examples(readings[:1], ["123"])


def test_every_task_has_room_for_its_texts():
    for task in read.TASKS.values():
        written = task.text("99+99" if task.sums else "0" * 8)
        assert len(written) == task.longest and set(written) <= set(task.characters)


def test_of_a_working_only_the_answer_is_judged():
    judged = read.TASKS["working"].judged
    assert judged("72+34=46") == judged("12+34=46") == "46"
    assert judged("12+34=47") != "46" != judged("12+34")
    assert read.TASKS["sum"].judged("72+34") != "12+34"
