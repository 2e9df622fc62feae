"""The README does what it says: its code prints what it shows, its commands and links exist."""

import contextlib
import importlib
import io
import re
import shlex
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def test_python_blocks_print_what_is_shown_under_them():
    names = {}
    shown = 0
    for (language, code), (_, expected) in zip(BLOCKS, [*BLOCKS[1:], ("", "")], strict=True):
        if language == "python":
            printed = io.StringIO()
            # BLAS's own threads would stand still whenever another program takes a core
            with contextlib.redirect_stdout(printed), threadpool_limits(1):
                exec(code, names)
            assert printed.getvalue() == expected
            shown += 1
    assert shown >= 2


def test_commands_are_the_ones_that_ci_runs_and_exist():
    train, test = (code.strip() for language, code in BLOCKS if language == "sh")
    assert test in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert train.endswith(".venv/bin/python -m demos.train_mnist")


@pytest.mark.parametrize("command", sorted(set(re.findall(r"python -m (demos\.[^`]*)", README))))
def test_demo_commands_are_understood(command, capsys):
    module, *options = shlex.split(command)
    folder = ROOT.joinpath(*module.split(".")).is_dir()
    demo = importlib.import_module(f"{module}.__main__" if folder else module)
    if "--help" in options:
        with pytest.raises(SystemExit) as stop:
            demo.arguments(options)
        assert stop.value.code == 0
        assert "--optimizer" in capsys.readouterr().out
    else:
        demo.arguments(options)


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_links_lead_somewhere(target):
    assert (ROOT / target).exists()
