"""The README and the pages of docs/: code prints what is shown, commands and links exist."""

import contextlib
import importlib
import io
import re
import shlex
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).parent.parent.parent
README, RESULTS = ROOT / "README.md", ROOT / "docs" / "results.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FIGURE = re.compile(r"\d[\d,.]*(?: ×| %| s\b| MB)")  # measured: with a unit
COMMAND = re.compile(r"python -m ((?:demos|tests)[.\w]*[^`\n]*)")
EXAMPLE = re.compile(r"^```python\n(.*?)^```$(?:\n+```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def read(page):
    return page.read_text(encoding="utf-8")


def blocks(page):
    """[(language, text)] of the fenced blocks of a page."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", read(page), flags=re.DOTALL | re.MULTILINE)


def commands():
    """(page, the module of a command and its options) for every command on the pages."""
    for page in PAGES:
        for command in sorted(set(COMMAND.findall(read(page)))):
            yield pytest.param(command, id=f"{page.stem}: {command}")


@every_page
def test_python_blocks_print_what_is_shown_right_under_them(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code, expected in re.findall(EXAMPLE, read(page)):
        printed = io.StringIO()
        # BLAS's own threads would stand still whenever another program takes a core
        with contextlib.redirect_stdout(printed), threadpool_limits(1):
            exec(code, names)
        if expected:
            assert printed.getvalue() == expected


def test_the_two_commands_are_those_of_ci():
    train, test = (code.strip() for language, code in blocks(README) if language == "sh")
    assert test in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert train.endswith(".venv/bin/python -m demos.train_mnist")


def test_the_readme_stays_short():
    assert len(read(README).split()) <= 900
    assert len(read(README).splitlines()) <= 150


@pytest.mark.parametrize("command", [*commands()])
def test_commands_are_understood(command):
    module, *options = shlex.split(command)
    if ROOT.joinpath(*module.split(".")).is_dir():
        module += ".__main__"
    program = importlib.import_module(module)
    if module.startswith("demos.") and module != "demos.__main__":
        if "--help" in options:
            with pytest.raises(SystemExit, match="0"):
                program.arguments(options)
        else:
            program.arguments(options)
    else:
        assert program.main


@every_page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", read(page)):
        path, _, heading = target.partition("#")
        if not target.startswith("https://"):
            assert (page.parent / path).exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", read(page.parent / path), flags=re.MULTILINE)
            assert heading in {title.lower().replace(" ", "-") for title in titles}, target


def test_figures_are_those_of_the_results_page():
    for figure in FIGURE.findall(read(README)):
        assert figure in read(RESULTS), figure
