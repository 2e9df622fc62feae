import re

import numpy as np
import pytest

import minivit
from demos import attention_backprop, digit, train_images
from minivit.checks.numeric import random_params
from minivit.checksums import write_summed
from minivit.data.normalize import Normalize
from minivit.files import write_json
from tests.data.idx import few_digits
from tests.data.shapes import CLASSES, write_shapes


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
    run = tmp_path / "runs" / "mnist"
    run.mkdir(parents=True)
    normalize = Normalize.of(data.train.images)
    minivit.Classifier(model, params, normalize, data.classes).save(run)
    started = {"options": {"data": str(folder)}}
    write_json(run / "training.json", started, write_summed)
    return folder


def demo(*options):
    return attention_backprop.main([*options])


def test_the_walk_is_printed_step_by_step(folder, capsys):
    assert demo("--digit", "3", "--block", "1", "--head", "2") == 0
    printed = capsys.readouterr().out
    assert re.search(r"Test image 3, labelled \d; the model reads \d \(\d+%\)\.", printed)
    assert "Block 1 (of 0 to 1), head 2 (of 0 to 2): 4 tokens (T) of width 12 (D)." in printed
    steps = re.findall(r"## (\w+), (\d) of 8: ", printed)
    assert steps == [(way, str(i)) for way in ("forward", "backward") for i in range(1, 9)]
    assert printed.count("A check: moving ") == 8
    assert re.search(r"\nNext, .*write_backward attention\n$", printed)


def test_it_waits_for_enter_in_a_terminal_and_can_be_left(folder, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    waited = []

    def enter(prompt):
        waited.append(prompt)
        if len(waited) == 3:
            raise EOFError
        return ""

    monkeypatch.setattr("builtins.input", enter)
    assert demo() == 0
    assert capsys.readouterr().out.count("## ") == 3


def test_the_walk_is_written_as_a_document(folder, tmp_path, capsys):
    assert demo("--write", str(tmp_path / "walk.md")) == 0
    page = (tmp_path / "walk.md").read_text(encoding="utf-8")
    assert page.startswith("# Backprop through one head of attention\n\nTest image ")
    assert page.count("\n\n## ") == 16
    assert "Written: " in capsys.readouterr().out


def test_a_run_of_colour_images_knows_its_data(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_shapes("shapes", 12)
    sizes = "--image-size=16 --patch-size=8 --dim=12 --depth=1 --heads=3 --mlp-dim=8"
    assert train_images.main(["shapes", *sizes.split(), "--epochs=1", "--shards=1"]) == 0
    capsys.readouterr()
    assert demo("runs/images") == 0
    printed = capsys.readouterr().out
    assert re.search(rf"Test image \d, labelled ({'|'.join(CLASSES)});", printed)


def test_without_a_run_a_model_trains_first(folder, monkeypatch, capsys):
    monkeypatch.setattr(digit, "DEFAULT", folder / "nothing")
    assert demo("--data", str(folder)) == 0
    assert "so a model trains for some seconds" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, message",
    [
        (["--block", "2"], "--block: the model has blocks 0 to 1, got 2"),
        (["--head", "-1"], "--head: the model has heads 0 to 2, got -1"),
        (["--digit", "50"], "--digit: test images are numbered 0 to 49, got 50"),
        (["nowhere"], "nowhere is not a run"),
        (["--data", "nowhere"], "no data set at 'nowhere'"),
    ],
)
def test_what_cannot_work_ends_in_one_line_and_status_2(folder, capsys, options, message):
    assert demo(*options) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("attention_backprop: ")
    assert message in printed
    assert len(printed.splitlines()) == 1
