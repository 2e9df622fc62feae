"""An exercise as a notebook for a course's platform: otter-grader's and nbgrader's marks.

It is the instructor's notebook, with the solution; the platform makes the students' from it. Raw
cells delimit what otter-grader reads, metadata tell nbgrader what each cell is, and the lines BEGIN
SOLUTION and END SOLUTION, between which it is cut, are those of both. The raw cells that say so are
in small letters, which mean the same to otter-grader and nothing to nbgrader.
"""

import inspect
import textwrap

from .exercise import EXERCISES, asked, emptied, file_text, solved
from .grading import failed
from .hints import hints


def notebook(name, version):
    """Return the notebook of an exercise, an nbformat node; its check calls the grader.

    version: of minivit, which the notebook asks for
    """
    import nbformat.v4 as v4  # of the extra [notebook]

    kind, points = solved(name).__name__, len(failed(name))
    imports, _, code = _code(name, kind).partition("\n\n\n")
    steps = "\n\n".join(
        f"<details><summary>Hint {number}</summary>\n\n{hint}\n\n</details>"
        for number, hint in enumerate(hints(name), 1)
    )
    title = f"# The {asked(name)} of {kind}\n\nThis needs `pip install minivit=={version}`."
    start = (
        f'import minivit\nfrom minivit.study.lessons.grading import grade_class\n\n'
        f'assert minivit.__version__ == "{version}", minivit.__version__'
    )  # fmt: skip
    check = f'grade_class({kind}, "{name}", required=True)'
    cells = [
        v4.new_raw_cell(f"# ASSIGNMENT CONFIG\nname: {name}"),
        v4.new_markdown_cell(title),
        v4.new_code_cell(f"{imports}\n{start}", metadata=_marks(f"{name}-start", locked=True)),
        v4.new_raw_cell(f"# BEGIN QUESTION\nname: {name}\npoints: {points}"),
        v4.new_markdown_cell(f"Write the {asked(name)}.\n\n{steps}"),
        v4.new_raw_cell("# begin solution"),
        v4.new_code_cell(code.strip(), metadata=_marks(name, solution=True)),
        v4.new_raw_cell("# end solution"),
        v4.new_raw_cell("# BEGIN TESTS"),
        v4.new_code_cell(check, metadata=_marks(f"{name}-check", locked=True, points=points)),
        v4.new_raw_cell("# END TESTS"),
        v4.new_raw_cell("# END QUESTION"),
    ]
    for number, cell in enumerate(cells):
        cell.id = f"{name.replace('_', '-')}-{number}"
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return v4.new_notebook(cells=cells, metadata=kernel | {"minivit": version})


def _code(name, kind):
    """The imports and the class, with its solution between two marks."""
    module, method = inspect.getmodule(solved(name)), getattr(solved(name), asked(name))
    lines = textwrap.dedent(inspect.getsource(method)).splitlines()
    body = textwrap.dedent("\n".join(lines[1:])).splitlines()
    marked = ["# BEGIN SOLUTION", *body]
    source = emptied(inspect.getsource(module), kind, asked(name), marked)
    text = file_text("", module.__name__, source, kind).removeprefix('""""""').strip()
    return f"{text}\n        # END SOLUTION"


def _marks(cell, *, solution=False, locked=False, points=None):
    """nbgrader's metadata of a cell."""
    marks = dict(grade_id=cell, solution=solution, locked=locked, grade=points is not None)
    more = {} if points is None else {"points": points}
    return {"nbgrader": marks | more | {"schema_version": 3, "task": False}}


def notebook_text(name, version):
    """The text of its file. Errors: ValueError for a repair, which is a bug and not an exercise."""
    import nbformat

    if name not in EXERCISES:
        raise ValueError(f"{name} is no exercise to write; expected one of {', '.join(EXERCISES)}")
    return nbformat.writes(notebook(name, version)) + "\n"
