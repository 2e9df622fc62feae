import importlib
import json

import numpy as np

import minivit
from tests.demos.test_benchmark import TINY
from tests.stand_in import installed

benchmark = importlib.import_module("demos.benchmark.__main__")


def calls_of_a_block():
    """Of a block alone, forward and then backward."""
    with installed() as stand_in:
        block = minivit.ViT(**TINY).blocks[0]
        params = minivit.Params(block.init(np.random.default_rng(0))).to("cuda")
        x, grads = stand_in.ones((3, 6, 6), np.float32), params.zeros_like()
        begun = stand_in.counts.copy()
        y, cache = block.forward(params, x)
        halfway = stand_in.counts.copy()
        block.backward(params, y, cache, grads)
        return (halfway - begun).calls, (stand_in.counts - halfway).calls


def test_counts_each_call_once(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(benchmark, "MODELS", {"tiny": TINY})
    file = tmp_path / "calls.json"
    assert benchmark.main(["--device-calls", "--batch-size", "3", "--json", str(file)]) == 0
    (row,) = json.loads(file.read_text())
    assert (row["model"], row["batch_size"]) == ("tiny", 3)
    layers = row["layers"]
    one_block, total = layers.pop("one block"), layers.pop("all")
    assert (one_block["forward"], one_block["backward"]) == calls_of_a_block()
    assert one_block["calls"] == one_block["forward"] + one_block["backward"]
    assert total["calls"] == sum(work.get("calls", 0) for work in layers.values())
    assert layers["ln"]["forward"] == layers["ln1"]["forward"] / 2  # of two blocks
    assert total["bytes_in"] == layers["batch and loss"]["bytes_in"] == 3 * (6 * 4 * 3 + 8)
    assert (total["bytes_out"], total["synchronisations"]) == (24, 1)
    assert layers["fetching"]["synchronisations"] == 1
    printed = capsys.readouterr().out
    assert "tiny, batch 3" in printed
    line = next(line for line in printed.splitlines() if line.startswith("attn.softmax"))
    assert line.split() == ["attn.softmax", "18", "10", "8"]
    assert "drop1" not in printed
