"""Runs of demos.train_mnist on a few digits, for tests."""

import itertools
import shlex
import signal
import sys
from pathlib import Path

import cv2

from demos import train_mnist

TINY = ["--dim", "12", "--depth", "1", "--heads", "3", "--mlp-dim", "8", "--patch-size", "14"]
COMPLETE = [
    "checkpoints", "checksums.json", "config.json", "curves.png", "gradients.png", "metrics.csv",
    "mistakes.png", "result.json", "training.json", "weights.safetensors",
]  # fmt: skip
RUN = Path("runs", "mnist")
RESUME = ["--resume", str(RUN)]
fit_module = sys.modules["minivit.training.fit"]  # `minivit.training.fit` is the function


def train_few(folder, *options):
    """A run of one epoch, 11 steps, unless told otherwise."""
    usual = ["--data", str(folder), "--epochs", "1", "--batch-size", "20", "--shards", "1"]
    return train_mnist.main([*usual, *options])


def assert_complete(run):
    """All files of a run that ended are there, and something is drawn on the pictures."""
    assert sorted(path.name for path in run.iterdir() if path.name != ".lock") == COMPLETE
    for picture in run.glob("*.png"):
        assert cv2.imread(str(picture)).std() > 5


def assert_same(left, right):
    """Two runs have the same model and metrics."""
    for name in ("weights.safetensors", "metrics.csv", "config.json"):
        assert Path(left, name).read_bytes() == Path(right, name).read_bytes(), name


def last_error(capsys):
    return capsys.readouterr().err.splitlines()[-1]


def proposed(line, demo):
    """The options of the command of a demo at the end of a line."""
    python, dash_m, module, *options = shlex.split(line.partition(": ")[2])
    assert Path(python).samefile(sys.executable)
    assert (dash_m, module) == ("-m", f"demos.{demo}")
    return options


def press_ctrl_c_at(monkeypatch, step):
    """As if a person pressed it in the middle of a step."""
    real = fit_module.loss_and_gradients
    calls = itertools.count()

    def pressed(*arguments, **options):
        if next(calls) == step:
            signal.raise_signal(signal.SIGINT)
        return real(*arguments, **options)

    monkeypatch.setattr(fit_module, "loss_and_gradients", pressed)
