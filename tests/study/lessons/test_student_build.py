"""A copy of the package for an exam: it works but for its solutions, of which it holds none."""

import ast
import inspect
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

import demos
from minivit.study.lessons.exercise import EXERCISES, asked, solved
from minivit.study.lessons.student_build import student_build
from minivit.study.lessons.without_solutions import PACKAGE, copy_package, engines
from tests.study.lessons.answers import body_of, written

DEMOS = Path(demos.__file__).parent


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exam") / "minivit-exam"
    student_build(folder, "0.1.0", DEMOS)
    return folder


def run(folder, *command, cwd=None):
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-P", *command]
    pipes = dict(capture_output=True, text=True, env=environment, cwd=cwd or folder)
    return subprocess.run(command, **pipes)


def test_no_line_of_a_solution_is_in_it(copy):
    text = "\n".join(path.read_text(encoding="utf-8") for path in copy.rglob("*.py"))
    lines = {line.strip() for line in text.splitlines()}
    for name in EXERCISES:
        for kind in {solved(name), *engines(name)}:
            source = inspect.getsource(getattr(kind, asked(name))).splitlines()[1:]
            own = [line.strip() for line in source if "dx = " in line and "copy" not in line]
            assert not lines & set(own), name
    paths = {path.name for path in copy.rglob("*")}
    assert not paths & {"tests", "bug_hunt.py", "walk.py", "layers.js", "vision_transformer.ipynb"}
    for name in ("checks/faults.toml", "study/lessons/hints.toml"):
        assert (copy / "minivit" / name).read_bytes() == b""


@pytest.mark.parametrize("name", EXERCISES)
def test_every_method_is_emptied_and_the_rest_is_python(copy, name):
    for kind in {solved(name), *engines(name)}:
        path = copy / "minivit" / Path(inspect.getfile(kind)).relative_to(PACKAGE)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        (node,) = [node for node in tree.body if getattr(node, "name", "") == kind.__name__]
        (method,) = [item for item in node.body if getattr(item, "name", "") == asked(name)]
        (raised,) = method.body
        assert f"the solution of {kind.__name__}.{asked(name)} is not" in ast.unparse(raised)


def test_the_version_and_what_it_can_do_are_said(copy):
    mark = copy / "minivit" / "study" / "lessons" / "without_solutions.txt"
    assert mark.read_text() == "0.1.0\n"
    project = tomllib.loads((copy / "pyproject.toml").read_text())["project"]
    assert project["version"] == "0.1.0+exercises"
    assert "numpy>=2" in project["dependencies"] and len(project["dependencies"]) == 8
    page = (copy / "README.md").read_text(encoding="utf-8")
    assert "What works: all forwards" in page and "- `Softmax.backward`" in page


def test_an_exercise_is_written_and_checked_in_it_but_not_graded(copy, tmp_path):
    command = ("-m", "minivit.demos", "write_backward", "softmax")
    assert "Written: softmax_backward.py" in run(copy, *command, cwd=tmp_path).stdout
    assert run(copy, *command, cwd=tmp_path).returncode == 1
    written(tmp_path, "softmax").rename(tmp_path / "softmax_backward.py")
    done = run(copy, *command, cwd=tmp_path)
    assert done.returncode == 0 and "The gradient agrees" in done.stdout
    assert "Checked, not graded" in done.stdout
    body = body_of("softmax").replace("dy - average", "dy")
    written(tmp_path, "softmax", body).rename(tmp_path / "softmax_backward.py")
    done = run(copy, *command, cwd=tmp_path)
    assert done.returncode == 1 and "Not right yet: x: it lacks the term" in done.stdout
    done = run(copy, *command, "--hint", cwd=tmp_path)
    assert "There are no more hints" in done.stdout
    done = run(copy, *command[:-1], "--grade", ".", cwd=tmp_path)
    assert done.returncode == 2 and "has no solutions to grade with" in done.stderr


def test_what_is_not_there_says_so_in_a_line(copy):
    done = run(copy, "-m", "minivit.demos", "check_gradients", "--layer", "gelu")
    assert done.returncode == 2
    assert done.stderr == (
        "check_gradients: the solution of GELU.backward is not in this copy; write it\n"
    )


def test_every_demo_in_it_starts(copy):
    listed = run(copy, "-m", "minivit.demos").stdout.splitlines()
    names = [line.split()[0] for line in listed if "  " in line]
    assert "write_backward" in names and "find_the_bug" not in names
    code = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    modules = [f"minivit.demos.{name}" for name in names if name != "export"]
    assert run(copy, "-c", code, *modules).stderr == ""


def test_a_folder_that_exists_is_refused(tmp_path):
    with pytest.raises(FileExistsError, match="exists; expected the name of a new folder"):
        student_build(tmp_path, "0.1.0", DEMOS)


def test_the_copy_to_grade_in_lacks_one_solution_and_all_plain_ones(tmp_path):
    copy_package(tmp_path, ["attention"], "no {}")
    layers = tmp_path / "minivit" / "layers"
    assert "no Attention.backward" in (layers / "attention.py").read_text(encoding="utf-8")
    for name in ("softmax", "linear"):  # which attention needs
        same = (PACKAGE / "layers" / f"{name}.py").read_bytes()
        assert (layers / f"{name}.py").read_bytes() == same
    for path in (tmp_path / "minivit" / "study" / "lessons" / "plain").glob("[a-z]*.py"):
        assert "raise NotImplementedError" in path.read_text(encoding="utf-8")
    assert not (tmp_path / "minivit" / "data" / "mnist").exists()


@pytest.mark.slow
@pytest.mark.thorough
def test_it_installs(copy, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", str(copy)], check=True)
    command = [python.with_name("minivit"), "write_backward", "softmax"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and (tmp_path / "softmax_backward.py").exists(), done.stderr
