"""An exercise as a notebook: what the two platforms look for is there, and it grades."""

import contextlib
import io
import re

import pytest

from minivit.study.lessons.exercise import EXERCISES
from minivit.study.lessons.notebook import notebook, notebook_text
from tests.samples import sample

nbformat = pytest.importorskip("nbformat")
STUB = "        raise NotImplementedError()"


def cleared(source):
    """A cell after nbgrader has cut the solution."""
    body = r"        # BEGIN SOLUTION\n.*?        # END SOLUTION"
    text, count = re.subn(body, STUB, source, flags=re.DOTALL)
    assert count == 1
    return text


def run(cells, clear=False):
    """Run the code cells; what is printed."""
    printed, names = io.StringIO(), {"__name__": "notebook"}
    with contextlib.redirect_stdout(printed):
        for number, cell in enumerate(cell for cell in cells if cell.cell_type == "code"):
            marks = cell.metadata["nbgrader"]
            source = cleared(cell.source) if clear and marks["solution"] else cell.source
            exec(compile(source, f"cell {number}", "exec"), names)
    return printed.getvalue()


@pytest.mark.parametrize("name", sample(EXERCISES, 3))
def test_it_is_right_with_its_solution_and_refused_without(name):
    made = nbformat.reads(notebook_text(name, "0.1.0"), as_version=4)
    nbformat.validate(made)
    assert run(made.cells) == ""
    with pytest.raises(AssertionError, match="NotImplementedError|line"):
        run(made.cells, clear=True)


def test_the_marks_are_those_of_otter_grader_and_nbgrader():
    made = notebook("softmax", "0.1.0")
    raw = [cell.source for cell in made.cells if cell.cell_type == "raw"]
    assert [text.splitlines()[0] for text in raw] == [
        "# ASSIGNMENT CONFIG", "# BEGIN QUESTION", "# begin solution", "# end solution",
        "# BEGIN TESTS", "# END TESTS", "# END QUESTION",
    ]  # fmt: skip
    start, answer, check = (
        cell.metadata["nbgrader"] for cell in made.cells if cell.cell_type == "code"
    )
    same = {"schema_version": 3, "task": False}
    assert start == same | dict(grade_id="softmax-start", solution=False, locked=True, grade=False)
    assert answer == same | dict(grade_id="softmax", solution=True, locked=False, grade=False)
    assert check == same | dict(
        grade_id="softmax-check", solution=False, locked=True, grade=True, points=1
    )


def test_it_asks_for_its_version():
    made = notebook("softmax", "9.9")
    assert "pip install minivit==9.9" in made.cells[1].source
    with pytest.raises(AssertionError, match="0.1.0"):
        run(made.cells)


def test_a_repair_is_no_exercise_to_write():
    with pytest.raises(ValueError, match="repair_linear is no exercise to write; expected one of"):
        notebook_text("repair_linear", "0.1.0")
