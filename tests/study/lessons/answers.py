"""Answers to the exercises."""

import inspect
import textwrap

from minivit.checks.suite import CASES
from minivit.study.lessons.exercise import exercise


def written(folder, name, body=None, change=lambda text: text):
    """The path of an exercise's file, its backward filled with the body, or the engine's own."""
    text = exercise(name, "grade me")
    if body is None:
        source = textwrap.dedent(inspect.getsource(CASES[name].make.func.backward))
        body = textwrap.dedent("\n".join(source.splitlines()[1:]))
    start = text.index("        # The first check has these shapes:")
    end = text.index('here")', start) + len('here")')
    text = text[:start] + textwrap.indent(body, " " * 8) + text[end:]
    path = folder / f"{name}.py"
    path.write_text(change(text), encoding="utf-8")
    return path
