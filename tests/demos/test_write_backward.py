import os

import pytest

import minivit
from demos import write_backward
from demos.options import command
from tests.data.idx import few_digits
from tests.study.lessons.answers import written


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_file_is_written_then_graded_and_never_overwritten(folder, capsys):
    assert write_backward.main(["softmax"]) == 0
    file = folder / "softmax_backward.py"
    before = file.read_bytes()
    assert "Written: softmax_backward.py. Fill in its backward" in capsys.readouterr().out
    assert f"    {command('write_backward', 'softmax')}\n" in file.read_text()
    assert write_backward.main(["softmax"]) == 1
    assert file.read_bytes() == before
    assert "Not right yet: line " in capsys.readouterr().out


def test_a_missing_answer_is_refused_and_not_written(folder, capsys):
    assert write_backward.main(["gelu", "--file", "homework.py"]) == 2
    begin = command("write_backward", "gelu")
    expected = f"there is no homework.py; {begin} writes the exercise to gelu_backward.py"
    assert expected in capsys.readouterr().err
    assert list(folder.iterdir()) == []
    assert write_backward.main(["gelu", "--file", "gelu_backward.py"]) == 0


def test_a_pipe_is_no_answer(folder, capsys):
    os.mkfifo(folder / "pipe")
    assert write_backward.main(["gelu", "--file", "pipe"]) == 2
    assert "pipe is a folder or a device; expected the exercise" in capsys.readouterr().err


def test_a_wrong_answer_is_explained(folder, capsys):
    body = 'y = cache["y"]\naverage = (dy * y).sum(axis=-1, keepdims=True)\nreturn y * dy'
    wrong = written(folder, "softmax", body)
    assert write_backward.main(["softmax", "--file", str(wrong)]) == 1
    printed = capsys.readouterr().out
    assert "x: it lacks the term −y · average" in printed
    assert printed.endswith("Not right yet: its gradients are wrong\n")


def test_a_right_answer_passes_and_trains(folder, capsys, monkeypatch):
    data = minivit.load_digits(few_digits(folder / "digits", train=300))
    monkeypatch.setattr(minivit, "load_digits", lambda name: data)
    monkeypatch.setattr(write_backward, "EPOCHS", 1)
    written(folder, "softmax")
    assert write_backward.main(["softmax", "--file", "softmax.py"]) == 0
    printed = capsys.readouterr().out
    assert "The gradient agrees (complex, full)." in printed
    assert "Right: softmax.py computes the gradients of softmax." in printed
    again = command("write_backward", "softmax", "--file", "softmax.py", "--train")
    assert f"See it learn: {again}\n" in printed
    assert f": {command('find_the_bug')}\n" in printed
    assert write_backward.main(["softmax", "--file", "softmax.py", "--train"]) == 0
    printed = capsys.readouterr().out
    assert "learns MNIST; your Softmax works in it 4 times." in printed
    assert "with your Softmax\n" in printed


def test_an_answer_that_ends_python_does_not_pass(folder, capsys):
    written(folder, "softmax", change=lambda text: text + "\nraise SystemExit(0)\n")
    assert write_backward.main(["softmax", "--file", "softmax.py"]) == 1
    assert "`raise SystemExit(0)`" in capsys.readouterr().out
