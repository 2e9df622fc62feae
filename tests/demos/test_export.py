import json
import sys
from pathlib import Path

import numpy as np
import pytest

import minivit
from demos import export
from tests.numeric import relative_error
from tests.saved_runs import OBLONG, save_untrained


@pytest.fixture(autouse=True)
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_untrained("run", list("abc"), **OBLONG)


def test_what_it_prints_runs_the_file_and_gives_the_logits_of_the_run(capsys):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    assert export.main(["run", "out.onnx"]) == 0
    line, *code = capsys.readouterr().out.splitlines()
    size = Path("out.onnx").stat().st_size
    assert line == (
        f"out.onnx: {size / 1e6:.1f} MB, images (B, 4, 6, 1) -> logits (B, 3), opset 20. Run it:"
    )
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 6), np.uint8)
    classifier = minivit.Classifier.load("run")
    names = {"images": classifier.normalize(pixels)}
    exec("\n".join(code), names)
    assert relative_error(names["result"], classifier.logits(pixels)) <= 1e-5


def test_the_file_knows_the_classes_and_the_preparation():
    onnx = pytest.importorskip("onnx")
    assert export.main(["run", "out.onnx"]) == 0
    metadata = {entry.key: entry.value for entry in onnx.load("out.onnx").metadata_props}
    config = json.loads(Path("run/config.json").read_text())
    assert json.loads(metadata["classes"]) == list("abc")
    assert json.loads(metadata["preparation"]) == config["preparation"]


def test_a_published_checkpoint(capsys, monkeypatch):
    pytest.importorskip("onnx")
    classifier = minivit.Classifier.load("run")
    config = {"layout": "timm", "preparation": {"mean": [0.5]}, "classes": list("abc")}
    loaded = []

    def load(path):
        loaded.append(path)
        return classifier.model, classifier.params, config

    monkeypatch.setattr(export.pretrained, "load", load)
    assert export.main(["vit.safetensors", "out.onnx"]) == 0
    assert loaded == ["vit.safetensors"]
    assert capsys.readouterr().out.startswith("out.onnx: ")


def cut(path):
    Path(path).write_bytes(Path(path).read_bytes()[:-9])


@pytest.mark.parametrize(
    "prepare, source, message",
    [
        (None, "nowhere", "there is no file nowhere"),
        (lambda: Path("empty").mkdir(), "empty", "empty has 0 files of weights"),
        (lambda: cut("run/weights.safetensors"), "run", "run/weights.safetensors is damaged"),
        (lambda: cut("run/config.json"), "run", "run/config.json is damaged"),
    ],
)
def test_what_cannot_work_ends_in_one_line_and_status_2(capsys, prepare, source, message):
    if prepare:
        prepare()
    assert export.main([source, "out.onnx"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("export: ")
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not Path("out.onnx").exists()


def test_without_the_package_it_says_so_in_one_line(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert export.main(["run", "out.onnx"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("export: an ONNX file needs onnx, ")
    assert line.endswith("pip install onnx")
    assert not Path("out.onnx").exists()
