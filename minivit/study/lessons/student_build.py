"""A copy of minivit for an exam: the exercises can be written in it, but it holds no solution."""

import json
import shutil
from importlib import metadata
from pathlib import Path

from ...files import write_file
from .exercise import EXERCISES, asked, solved
from .without_solutions import MARK, PACKAGE, copy_package

SAYS = "the solution of {} is not in this copy; write it"
SHOWING = ("*.ipynb", "notebooks", "find_the_bug.py", "explore.py", "attention_backprop.py")
PROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "minivit"
version = "{version}+exercises"
description = "minivit {version} without the solutions of its exercises"
requires-python = ">=3.11"
dependencies = {dependencies}

[project.scripts]
minivit = "minivit.demos.__main__:main"

[tool.setuptools.packages.find]
include = ["minivit*"]

[tool.setuptools.package-data]
"*" = ["*.toml", "*.txt", "py.typed", "samples/*", "mnist/*"]
"""
README = """\
# minivit {version} without the solutions of its exercises

This is a copy of minivit {version}. Each method named below raises NotImplementedError, and its
formulas are cut. So are the catalogue of bugs, the hints, the explorer and the walk through
attention.

    pip install .
    minivit write_backward softmax       # writes softmax_backward.py; again: checks it

What works: all forwards; `minivit.gradcheck`, which needs a forward alone; and `minivit
write_backward`, which checks an answer with it and says what is most likely wrong.

What does not: points, as there is nothing to compare an answer with; and whatever is built of the
methods below, such as training, until they are written here. An exercise that uses another layer
(attention: Linear and Softmax) wants that one written in its file below minivit/layers first.

{methods}
"""


def student_build(folder, version, demos):
    """Write the copy to a new folder; demos: the folder of the demos, as they are run now.

    Errors: FileExistsError if the folder exists; ValueError if minivit is not installed, as what it
    depends on is read from there.
    """
    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"{folder} exists; expected the name of a new folder")
    try:
        requires = metadata.requires(PACKAGE.name) or []
    except metadata.PackageNotFoundError:
        raise ValueError("minivit is not installed; see the README") from None
    copy_package(folder, EXERCISES, SAYS, data=True)
    target = folder / PACKAGE.name
    ignored = shutil.ignore_patterns("__pycache__", *SHOWING)
    shutil.rmtree(target / "demos", ignore_errors=True)  # a wheel has them there, a clone has not
    shutil.copytree(demos, target / "demos", ignore=ignored)
    write_file(target / MARK.relative_to(PACKAGE), f"{version}\n".encode())
    dependencies = json.dumps([each for each in requires if "extra ==" not in each])
    project = PROJECT.format(version=version, dependencies=dependencies)
    write_file(folder / "pyproject.toml", project.encode())
    methods = "\n".join(f"- `{solved(name).__name__}.{asked(name)}`" for name in EXERCISES)
    write_file(folder / "README.md", README.format(version=version, methods=methods).encode())
