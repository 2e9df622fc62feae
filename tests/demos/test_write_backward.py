import json
import os
import re
import shutil
import signal

import pytest

import minivit
from demos import write_backward
from demos.options import command
from tests.data.idx import few_digits
from tests.demos.every import started
from tests.study.lessons.answers import written
from tests.study.lessons.hostile import submit, submit_answer

DOUBLED = """
-grads["w"] += sum_rows(dy * cache["x"])
+grads["w"] += 2 * sum_rows(dy * cache["x"])
"""


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
    assert re.search(r"Not right yet: x: it lacks the term −y · average.*\n$", printed)


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


def test_hints_are_shown_one_after_another(folder, capsys):
    for number in (1, 2, 3):
        assert write_backward.main(["gelu", "--hint"]) == 0
        assert capsys.readouterr().out.startswith(f"Hint {number} of 3: ")
    assert (folder / "gelu_backward.hints").exists()


def test_a_repair_is_written_as_an_exercise_is(folder, capsys):
    assert write_backward.main(["repair_mean_pool"]) == 0
    file = folder / "repair_mean_pool_backward.py"
    assert f"    {command('write_backward', 'repair_mean_pool')}\n" in file.read_text()
    assert write_backward.main(["repair_mean_pool"]) == 1
    assert "x: it is T = 3 times what it should be" in capsys.readouterr().out
    file.write_text(file.read_text().replace("share = dy.copy()", "share = dy / T"))
    assert write_backward.main(["repair_mean_pool"]) == 0
    assert "computes the gradients of mean_pool" in capsys.readouterr().out


def test_a_folder_is_graded_with_a_line_each(folder, capsys):
    submit_answer(folder / "week", "ada", "softmax")
    submit_answer(folder / "week", "bob", "layer_scale", DOUBLED)
    (folder / "week" / "bob" / "notes.py").write_text("")
    arguments = ["--grade", "week", "--json", "g.json", "--csv", "g.csv", "--seed", "7"]
    assert write_backward.main(arguments) == 1
    ada, bob, ignored, last = capsys.readouterr().out.splitlines()
    assert ada == "ada  softmax      100%  right"
    assert bob.startswith("bob  layer_scale   50%  w: it is 2 times")
    assert ignored.startswith("not graded: ") and "notes.py; expected a name that" in ignored
    again = command("write_backward", "--grade", "week", "--seed", 7)
    assert last == f"1 of 2 are right (minivit {minivit.__version__}). Again: {again}"
    rows = json.loads((folder / "g.json").read_text())
    assert [row["points"] for row in rows] == [1, 0.5]
    assert rows[1]["arrays"] == {"x": True, "w": False}
    assert rows[0]["cause"] is None and rows[0]["minivit"] == minivit.__version__
    assert len((folder / "g.csv").read_text().splitlines()) == 3
    shutil.rmtree(folder / "week" / "bob")
    assert write_backward.main(["--grade", "week"]) == 0


def test_a_notebook_and_a_build_are_written(folder, capsys):
    assert write_backward.main(["gelu", "--notebook", "gelu.ipynb"]) == 0
    assert "grade_class(GELU" in (folder / "gelu.ipynb").read_text()
    assert write_backward.main(["--student-build", "exam"]) == 0
    assert (folder / "exam" / "minivit" / "demos" / "write_backward.py").exists()
    assert write_backward.main(["--student-build", "exam"]) == 2
    assert "exam exists; expected the name of a new folder" in capsys.readouterr().err


def test_a_right_optimizer_trains(folder, capsys, monkeypatch):
    data = minivit.load_digits(few_digits(folder / "digits", train=300))
    monkeypatch.setattr(minivit, "load_digits", lambda name: data)
    monkeypatch.setattr(write_backward, "EPOCHS", 1)
    written(folder, "adam")
    assert write_backward.main(["adam", "--file", "adam.py", "--train"]) == 0
    printed = capsys.readouterr().out
    assert "Right: adam.py takes the steps of adam." in printed
    assert "your Adam takes the steps." in printed and "with your Adam\n" in printed


@pytest.mark.slow
def test_ctrl_c_ends_all_answers(folder):
    submit_answer(folder / "week", "ada", "softmax")
    submit(folder / "week", "sleeps", folder / "outside")
    with started("write_backward", folder, work="--grade week") as process:
        assert b"right" in process.stdout.readline()  # the other one is running now
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130 and errors == b"\nwrite_backward: stopped\n"
