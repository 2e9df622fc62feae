import re

import numpy as np
import pytest

import minivit
from demos import attention_backprop, digit
from minivit.checks.numeric import random_params
from minivit.data.normalize import Normalize
from minivit.training import save_run
from tests.data.idx import few_digits


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of digits; the current one holds an untrained run in runs/mnist."""
    monkeypatch.chdir(tmp_path)
    folder = few_digits(tmp_path / "digits")
    data = minivit.load_digits(folder)
    model = minivit.ViT(
        image_size=28, patch_size=14, channels=1, dim=12, depth=2, heads=3, mlp_dim=8, classes=10
    )
    params = random_params(model, np.random.default_rng(0)).astype(np.float32)
    rows = [dict(step=0, loss=1.0)]
    (tmp_path / "runs" / "mnist").mkdir(parents=True)
    save_run("runs/mnist", model, params, Normalize.of(data.train.images), data.classes, rows)
    return folder


def demo(folder, *options):
    return attention_backprop.main(["--data", str(folder), *options])


def test_the_walk_is_printed_step_by_step(folder, capsys):
    assert demo(folder, "--digit", "3", "--block", "2", "--head", "3") == 0
    printed = capsys.readouterr().out
    assert re.search(r"Test digit 3, which is \d; the model says \d, \d+% sure\.", printed)
    assert "Block 2 of 2, head 3 of 3: 4 tokens (T) of width 12 (D)." in printed
    steps = re.findall(r"── (\w+), (\d) of 8 ──", printed)
    assert steps == [(way, str(i)) for way in ("forward", "backward") for i in range(1, 9)]
    assert printed.count("Moved by hand: ") == 8


def test_it_waits_for_enter_in_a_terminal_and_can_be_left(folder, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    waited = []

    def enter(prompt):
        waited.append(prompt)
        if len(waited) == 3:
            raise EOFError
        return ""

    monkeypatch.setattr("builtins.input", enter)
    assert demo(folder) == 0
    assert capsys.readouterr().out.count("──  ") == 3


def test_the_walk_is_written_as_a_document(folder, tmp_path, capsys):
    assert demo(folder, "--write", str(tmp_path / "walk.md")) == 0
    page = (tmp_path / "walk.md").read_text(encoding="utf-8")
    assert page.startswith("# Backprop through one head of attention\n\nTest digit ")
    assert page.count("\n## ") == 16
    assert "Written: " in capsys.readouterr().out


def test_without_a_run_a_model_learns_first(folder, monkeypatch, capsys):
    monkeypatch.setattr(digit, "DEFAULT", folder / "nothing")
    assert demo(folder) == 0
    assert "so a model learns for some seconds" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, message",
    [
        (["--block", "3"], "--block: the model has 2, got 3"),
        (["--head", "0"], "--head: the model has 3, got 0"),
        (["--digit", "50"], "--digit: there are test digits 0 to 49, got 50"),
        (["nowhere"], "nowhere is no run"),
    ],
)
def test_what_cannot_work_ends_in_one_line_and_status_2(folder, capsys, options, message):
    assert demo(folder, *options) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("attention_backprop: ")
    assert message in printed
    assert len(printed.splitlines()) == 1


def test_a_run_of_other_data_is_refused(folder, monkeypatch, capsys):
    data = minivit.load_digits(folder)
    monkeypatch.setattr(minivit, "load_digits", lambda _: data._replace(classes=["a", "b"]))
    assert demo(folder) == 2
    assert "the run knows 0, 1, 2" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--seed", "-1"], ["--write", "nowhere/walk.md"]])
def test_refuses_options_that_cannot_work(option):
    with pytest.raises(SystemExit):
        attention_backprop.arguments(option)
