import importlib.util
import json
import types

import pytest

from demos.benchmark import engines, lines, profile
from demos.benchmark.lines import LineClock, kind_of
from tests.demos.test_benchmark import TINY

KINDS = {  # a line of the engine, or one like it, and what it mostly does
    'out = rows @ params["w"]': "products",
    "xp.matmul(att, v, out=mix)": "products",
    'grads["w"] += rows.T @ dout': "products",
    "loss = (losses / B).sum()": "reductions",
    "shifted = x - x.max(axis=-1, keepdims=True)": "reductions",
    "centered = x - mean": "element-wise",
    "gate *= 0.5": "element-wise",
    "gate = xp.tanh(inner, out=inner)": "element-wise",
    "rows = x.reshape(-1, self.d_in)": "copies, views",
    "dx[:, 0] = dy": "copies, views",
    "self.flat[...] = 0": "copies, views",
    "merged = xp.empty((B, T, D), x.dtype)": "allocation",
    'cache["x"] = x': "Python",
    "rows = height // patch_size": "Python",
    "h, d = self.heads, D // self.heads": "Python",
    'expect_shape("Linear", x, ..., self.d_in)': "Python",
    "if x.sum() > 0:\n        pass": "Python",
}


def module_of(tmp_path, text):
    file = tmp_path / "written.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location("written", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("source, kind", KINDS.items())
def test_a_line_counts_as_what_it_mostly_does(tmp_path, source, kind):
    (tmp_path / "line.py").write_text(f"def line():\n    {source}\n")
    assert kind_of(str(tmp_path / "line.py"), 2) == kind


def test_a_line_has_its_own_time_and_that_of_others_files(tmp_path, monkeypatch):
    now = 0

    def elapse(seconds):  # in a file that is not watched
        nonlocal now
        now += seconds

    monkeypatch.setattr(lines, "time", types.SimpleNamespace(perf_counter=lambda: now))
    module = module_of(
        tmp_path,
        "def outer(elapse):\n"
        "    elapse(1)\n"
        "    for _ in range(2):\n"
        "        elapse(10) or inner(elapse)\n"
        "    elapse(100)\n"
        "def inner(elapse):\n"
        "    elapse(1000)\n",
    )
    found = LineClock(tmp_path).run(module.outer, elapse)
    assert {line.number: seconds for line, (seconds, _) in found.items() if seconds} == {
        2: 1, 4: 20, 5: 100, 7: 2000
    }  # fmt: skip
    assert {line.layer for line in found} == {"written"}
    stops = {line.number: stops for line, (_, stops) in found.items()}
    assert stops[7] == 2 * 2  # at each visit when it calls and when it is left


def test_the_products_that_are_seen_are_those_that_a_step_needs():
    model, (gradients, _) = profile.parts_of_a_step(TINY, 4)
    factors = {}

    def meet(line, frame):
        shapes = kind_of(line.file, line.number) == "products" and lines.factors_of(line, frame)
        if shapes:
            factors.setdefault(line, []).append(shapes)

    spent = LineClock(profile.FOLDER, model, meet).run(gradients)
    products = profile.by_product(dict.fromkeys(spent, 1.0), factors)
    assert sum(operations for _, operations in products.values()) == 4 * engines.operations(TINY)
    layers = {layer for layer, _, _ in products}
    assert layers == {
        "patches.linear", "attn.qkv", "attn", "attn.proj", "mlp.fc1", "mlp.fc2", "head"
    }  # fmt: skip
    kinds = profile.by_layer_and_kind(dict.fromkeys(spent, 1.0), factors)
    assert set(kinds["attn.softmax"]) == {"reductions", "element-wise", "Python"}
    assert kinds["ln1"]["products"] == 0 < kinds["ln1"]["reductions"]  # its sums are products
    assert {"losses", "step", "params", "block", "model"} <= set(kinds)


def test_the_table_adds_up(capsys):
    found = profile.profile("tiny", TINY, 0.1)
    assert sum(sum(kinds.values()) for kinds in found["layers_ms"].values()) == pytest.approx(
        found["ms"]
    )
    assert found["unwatched_ms"] > 0
    assert {"optim", "attn.qkv"} <= set(json.loads(json.dumps(found))["layers_ms"])
    printed = capsys.readouterr().out
    assert f"the table is {found['ms'] / found['unwatched_ms']:.0%} of it" in printed
    assert 'grads["w"] += rows.T @ dout' in printed


def test_the_peak_counts_what_it_multiplies(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(profile.time, "perf_counter", lambda: next(clock))
    assert profile.peak_of_products(size=8, times=3) == 2 * 8**3
