import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import minivit
from demos import evaluate
from tests.data.idx import few_digits, mnist, write_digits
from tests.saved_runs import DIGITS, save_untrained


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
    assert evaluate.own_data("run") == "mnist"
    Path("run/result.json").write_text('{"options": {"data": "digits"}}')
    assert evaluate.own_data("run") == "digits"
    assert evaluate.main(["run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"] == "digits"
    for other in ("{", "[]", '{"options": 3}'):
        Path("run/result.json").write_text(other)
        assert evaluate.own_data("run") == "mnist"


def small(folder):
    images, labels = np.zeros((3, 8, 9)), np.array([0, 1, 2])
    return write_digits(folder, (images, labels), (images, labels))


def eleven(folder):
    images, labels = np.zeros((2, 28, 28)), np.array([0, 10])
    return write_digits(folder, (images, labels), (images, labels))


@pytest.mark.parametrize(
    "make, options, message",
    [
        (None, ["nowhere", "digits"], "nowhere is no run"),
        (None, ["run", "nowhere"], "no data set at 'nowhere'"),
        (small, ["run", "other"], "are [8, 9, 1]; the run was trained on [28, 28, 1]"),
        (eleven, ["run", "other"], "other has 10; the run knows 0, 1, 2"),
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
