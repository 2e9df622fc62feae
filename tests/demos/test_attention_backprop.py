import functools
import re

import numpy as np
import pytest

import minivit
from demos import attention_backprop, digit, train_images
from demos.letter import choose_letter
from minivit.checks.numeric import random_params
from minivit.checksums import write_summed
from minivit.data.normalize import Normalize
from minivit.data.strips import HEIGHT, WIDTH, Strips
from minivit.files import write_json
from minivit.transcriber import Transcriber
from tests.data.idx import few_digits
from tests.data.shapes import CLASSES, write_shapes
from tests.test_transcriber import untrained


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


@pytest.fixture
def strips(tmp_path, monkeypatch):
    """The current folder holds an untrained reader of digits in runs/read."""
    monkeypatch.chdir(tmp_path)
    sizes = dict(image_size=(HEIGHT, WIDTH), patch_size=(HEIGHT, 4), longest=8)
    run = tmp_path / "runs" / "read"
    run.mkdir(parents=True)
    untrained("0123456789", **sizes).save(run)
    started = {"options": {"task": "read", "seed": 0, "test_strips": 20}}
    write_json(run / "training.json", started, write_summed)
    return run


@functools.cache
def strips_of_the_test():
    return Strips(minivit.load_digits().test, 20, seed=2)


def text_of(number):
    return strips_of_the_test()[number].text


def test_a_masked_head_of_a_reader_is_walked_through_for_one_letter(strips, capsys):
    text = text_of(3)
    assert len(text) > 2
    options = ["--digit", "3", "--letter", "1", "--block", "1", "--head", "1"]
    assert demo("runs/read", *options) == 0
    printed = capsys.readouterr().out
    assert f"Test strip 3, labelled {text}. Told {text[0]}, the model goes on with " in printed
    assert f"; right is {text[1]}. The loss is that of this letter alone, " in printed
    assert "it sees the tokens 0 to 1. Block 1 of the decoder (of 0 to 1), head 1 (of 0" in printed
    T = len(text) + 1
    assert f"masked self-attention of {T} tokens (T), the begin and {text}, of width 8" in printed
    steps = re.findall(r"## (\w+), (\d) of 9: ", printed)
    assert steps == [(way, str(i)) for way in ("forward", "backward") for i in range(1, 10)]
    hidden = T * (T - 1) // 2
    assert printed.count(f"Exactly 0 at {hidden} of {hidden} hidden places.") == 3
    assert "-inf" in printed and "dmemory" not in printed


def test_a_cross_attending_head_is_walked_through_and_written(strips, capsys):
    assert demo("runs/read", "--digit", "3", "--cross", "--write", "walk.md") == 0
    page = (strips.parents[1] / "walk.md").read_text(encoding="utf-8")
    text = text_of(3)
    assert page.startswith("# Backprop through one head of attention\n\nTest strip 3, labelled ")
    tokens = f"from {len(text) + 1} tokens (T), the begin and {text}, to the 40 patches (S) of the"
    assert f"cross-attention {tokens} picture, of width 8 (D)." in page
    assert page.count("\n\n## ") == 18
    assert "dx = dq wqᵀ" in page and "dmemory = dk wkᵀ + dv wvᵀ" in page
    assert "hidden" not in page.replace("Nothing is hidden", "") and "-inf" not in page


def test_without_a_letter_it_is_the_least_sure_one_after_the_first(strips):
    transcriber = Transcriber.load(strips)
    options = attention_backprop.arguments(["runs/read"])
    letter = choose_letter(options, transcriber)
    lowest = []
    for number in range(20):
        text = text_of(number)
        labels = transcriber.vocabulary.encode([text], 8)
        x = transcriber.normalize(strips_of_the_test()[number].image[None])
        logits, _ = transcriber.model.forward(
            transcriber.params, x.astype(np.float32), **transcriber.model.told(labels)
        )
        chances = np.exp(logits[0]) / np.exp(logits[0]).sum(axis=-1, keepdims=True)
        places = range(1, len(text) + 1)
        lowest += [(chances[place, labels[0, place + 1]], number, place) for place in places]
    assert min(lowest)[1:] == (letter.strip, letter.place)
    assert letter.text == text_of(letter.strip)


def test_the_end_of_a_text_and_its_first_letter_are_letters_too(strips, capsys):
    text = text_of(3)
    assert demo("runs/read", "--digit", "3", "--letter", str(len(text))) == 0
    printed = capsys.readouterr().out
    assert f"Told {text}, the model goes on with " in printed and "right is the end." in printed
    assert demo("runs/read", "--digit", "3", "--letter", "0") == 0
    assert "Told nothing yet, the model goes on with " in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, message",
    [
        (["--block", "2"], "--block: the model has blocks 0 to 1, got 2"),
        (["--head", "2", "--cross"], "--head: the model has heads 0 to 1, got 2"),
        (["--digit", "20"], "--digit: test strips are numbered 0 to 19, got 20"),
        (["--digit", "3", "--letter", "9"], "--letter: those of "),
        (["--data", "mnist"], "--data: a reader is shown the strips that its run was tested on"),
    ],
)
def test_what_cannot_work_with_a_reader_ends_in_one_line(strips, capsys, options, message):
    assert demo("runs/read", *options) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("attention_backprop: ") and message in printed
    assert len(printed.splitlines()) == 1


def test_a_reader_of_unknown_origin_or_not_finite_is_refused(strips, capsys):
    transcriber = Transcriber.load(strips)
    transcriber.params.flat *= np.float32(1e38 / abs(transcriber.params.flat).max())
    transcriber.save(strips)
    assert demo("runs/read") == 2
    assert "not finite" in capsys.readouterr().err
    (strips / "training.json").unlink()
    assert demo("runs/read") == 2
    assert "does not say which strips it was trained on" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--cross"], ["--letter", "1"]])
def test_a_vit_has_no_letters_and_no_other_sequence(folder, capsys, options):
    assert demo(*options) == 2
    assert "--cross and --letter are for a reader" in capsys.readouterr().err
