import importlib
import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from demos import options
from demos.__main__ import demos, main

ROOT = Path(__file__).parents[2]


class NobodyReads(io.StringIO):
    """A stdout whose reader is gone, as after `| head`."""

    def __init__(self, file):
        super().__init__()
        self.fileno = file.fileno

    def flush(self):
        raise BrokenPipeError


@pytest.mark.parametrize("demo", demos())
def test_a_demo_whose_output_nobody_reads_ends_in_silence(demo, monkeypatch, capsys, tmp_path):
    with open(tmp_path / "stdout", "wb", buffering=0) as file:
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdout", NobodyReads(file))
            assert module_of(demo).main(["--help"]) == 141
        file.write(b"what the interpreter flushes at its end goes nowhere")
    assert (tmp_path / "stdout").read_bytes() == b""
    assert capsys.readouterr().err == ""


def module_of(demo):
    folder = (ROOT / "demos" / demo).is_dir()
    return importlib.import_module(f"demos.{demo}.__main__" if folder else f"demos.{demo}")


def test_a_closed_pipe_leaves_no_traceback():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "demos.check_gradients", "--layer", "linear"]
    environment = os.environ | {"PYTHONUNBUFFERED": ""}  # so that something is left to be flushed
    pipes = dict(stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, env=environment)
    done = subprocess.run(command, **pipes)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("demo", demos())
def test_help_shows_a_default_only_where_there_is_one(demo, capsys):
    with pytest.raises(SystemExit) as stop:
        main([demo, "--help"])
    printed = capsys.readouterr().out
    assert stop.value.code == 0 and f"demos.{demo} " in printed
    assert "default: None" not in printed and "default: False" not in printed


REFUSED = """
attention_backprop --write nowhere/walk.md
benchmark --rounds 0
benchmark --seconds -1
check_gradients --seed -1
check_gradients --sweep nowhere/x.png
check_gradients --fault none
check_gradients --sweep x.png --layer adam
check_gradients --sweep x.png --fault uphill
explore --image x.png --digit 3
explore --write nowhere/page.html
patch_image x.png --size 0
patch_image x.png --size 1 2 3
patch_image x.png --patch-size -4
patch_image x.png --seed -1
patch_image x.png --out nowhere/a.png
predict run
predict run a.png --attention nowhere/a.png
train_images
train_images shapes --resume runs/images
train_images shapes --image-size 1 2 3
write_backward vit
write_backward softmax --file nowhere/x.py
write_backward
write_backward softmax --grade folder
write_backward cross_entropy --train
write_backward --grade folder --csv nowhere/x.csv
write_backward --grade folder --seed -1
"""


@pytest.mark.parametrize("line", REFUSED.split("\n")[1:-1])
def test_options_that_cannot_work_are_refused(line):
    demo, *given = line.split()
    with pytest.raises(SystemExit, match="2"):
        module_of(demo).arguments(given)


def test_help_shows_defaults(capsys):
    with pytest.raises(SystemExit):
        main(["patch_image", "--help"])
    printed = capsys.readouterr().out
    assert "(default: 768)" in printed and "(default: 0)" in printed


def test_in_a_clone_a_command_is_that_of_a_module(monkeypatch, tmp_path):
    python = tmp_path / "my venv" / "bin" / "python"
    monkeypatch.setattr("sys.executable", str(python))
    for folder, printed in [
        (tmp_path, "my venv/bin/python"),
        (python.parent.parent, "bin/python"),
        (python.parent, str(python)),  # "python" might be another one
        (Path("/"), str(python).removeprefix("/")),
    ]:
        folder.mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(folder)
        command = [printed, "-m", "demos.explore", "--digit", "3"]
        assert options.command("explore", "--digit", 3) == shlex.join(command)


def test_an_installed_command_is_minivit(monkeypatch, tmp_path):
    script = tmp_path / "bin" / "minivit"
    script.parent.mkdir()
    script.touch(mode=0o755)
    monkeypatch.setattr(options, "__package__", "minivit.demos")
    monkeypatch.setattr("sys.argv", [str(script), "explore"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin")
    assert options.command("explore", "runs/a b") == "bin/minivit explore 'runs/a b'"
    monkeypatch.setenv("PATH", str(script.parent))
    assert options.command("explore") == "minivit explore"
    monkeypatch.setattr("sys.argv", ["…/minivit/demos/__main__.py", "explore"])
    monkeypatch.setattr("sys.executable", "/usr/bin/python3")
    monkeypatch.chdir("/usr/bin")
    assert options.command("explore") == "/usr/bin/python3 -m minivit.demos explore"


def test_a_mistyped_name_is_answered_with_those_that_look_alike():
    assert (
        options.unknown("tow", ["one", "two"], "ask") == "there is no 'tow'. Did you mean two? ask"
    )
    assert options.unknown("xyz", ["one", "two"], "ask") == "there is no 'xyz'. ask"


def test_ctrl_c_while_a_class_is_made_is_ctrl_c(capsys):
    def work():
        raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()

    assert options.status("demo", work) == 130
    assert capsys.readouterr().err == "\ndemo: stopped\n"
