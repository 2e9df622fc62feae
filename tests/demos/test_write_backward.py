import inspect
import textwrap

import pytest

import minivit
from demos import write_backward
from minivit.layers import Softmax
from tests.data.idx import few_digits


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert write_backward.main(["softmax"]) == 0
    return tmp_path / "softmax_backward.py"


def solve(file, change=lambda body: body):
    body = "\n".join(inspect.getsource(Softmax.backward).splitlines()[1:])
    text = file.read_text()
    start = text.index("        # In the check")
    file.write_text(
        text[:start]
        + change(textwrap.dedent(body).replace("\n", "\n        ").join(["        ", "\n"]))
    )


def test_the_file_is_written_then_graded_and_never_overwritten(file, capsys):
    before = file.read_bytes()
    assert write_backward.main(["softmax"]) == 1
    assert file.read_bytes() == before
    assert "Not right yet: line " in capsys.readouterr().out


def test_a_wrong_answer_is_explained(file, capsys):
    solve(file, lambda body: body.replace("dy - average", "dy - 0 * average"))
    assert write_backward.main(["softmax"]) == 1
    printed = capsys.readouterr().out
    assert "x: it lacks the term −y · average" in printed
    assert printed.endswith("Not right yet: see above\n")


def test_a_right_answer_is_said_to_be_right(file, capsys):
    solve(file)
    assert write_backward.main(["softmax"]) == 0
    printed = capsys.readouterr().out
    assert "The gradient agrees (complex, full)." in printed
    assert "Right: softmax_backward.py has the gradients of Softmax." in printed
    assert "python -m demos.write_backward softmax --train" in printed


def test_a_file_that_is_no_python_is_refused(file, capsys):
    file.write_text("class Softmax(:")
    assert write_backward.main(["softmax"]) == 1
    assert "Not right yet: line 1 is no Python" in capsys.readouterr().out


def test_a_right_answer_trains(file, tmp_path, capsys, monkeypatch):
    digits = few_digits(tmp_path / "digits", train=300)
    data = minivit.load_digits(digits)
    monkeypatch.setattr(minivit, "load_digits", lambda name: data)
    monkeypatch.setattr(write_backward, "EPOCHS", 1)
    monkeypatch.setattr(write_backward, "HELD_OUT", 50)
    solve(file)
    assert write_backward.main(["softmax", "--train"]) == 0
    printed = capsys.readouterr().out
    assert "in which your Softmax works 4 times, learns MNIST" in printed
    assert "with your Softmax\n" in printed


def test_the_file_may_have_another_name(tmp_path, capsys):
    file = tmp_path / "homework 3.py"
    assert write_backward.main(["gelu", "--file", str(file)]) == 0
    assert f"Written: {file}. Fill in its backward" in capsys.readouterr().out
    assert f"python -m demos.write_backward gelu --file '{file}'" in file.read_text()


@pytest.mark.parametrize("option", [["vit"], ["softmax", "--file", "nowhere/x.py"]])
def test_refuses_what_is_no_exercise(option):
    with pytest.raises(SystemExit):
        write_backward.arguments(option)
