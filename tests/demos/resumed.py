"""Runs that were stopped, and end like those that were left alone."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.demos.digit_runs import assert_same, last_error, press_ctrl_c_at
from tests.demos.every import ROOT


def names(run):
    return {path.name for path in Path(run).iterdir() if not path.name.startswith(".")}


def expect_the_same_after_ctrl_c(demo, options, monkeypatch, capsys):
    """A module of demos with those options ends alike if it is stopped in its fourth step."""
    assert demo.main([*options, "--run", "whole"]) == 0
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, 3)
        assert demo.main([*options, "--run", "stopped"]) == 130
    assert "To resume: " in last_error(capsys)
    assert demo.main(["--resume", "runs/stopped"]) == 0
    assert_same("runs/whole", "runs/stopped")
    assert names("runs/stopped") == names("runs/whole")


def expect_the_same_after_a_kill(demo, options):
    """The same, if it is killed after its fifth checkpoint."""
    options = [*options, "--checkpoint-every=1"]
    assert demo.main([*options, "--run", "whole"]) == 0
    command = [sys.executable, "-m", demo.__name__, *options, "--run", "killed"]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while not list(Path("runs").glob("killed/checkpoints/step-0000000[5-9]*")):
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    assert process.wait() < 0
    assert demo.main(["--resume", "runs/killed"]) == 0
    assert_same("runs/whole", "runs/killed")
