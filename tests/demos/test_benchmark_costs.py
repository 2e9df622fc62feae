import types

import numpy as np
import pytest

from demos.benchmark import costs, engines
from demos.benchmark.answers import ANSWERS
from tests.demos.test_benchmark import TINY

OPTIONS = types.SimpleNamespace(rounds=1, seconds=0.01, batch_size=8)


def one_answer(name, count):
    """The logits or probabilities that an engine of ANSWERS computes."""
    engine = ANSWERS[name]
    with engine(TINY, count) as (step, amount):
        assert amount == count
        return np.asarray(step())


@pytest.mark.parametrize("count", [1, 255])  # one, and more than a batch
def test_all_engines_give_the_same_answers(count, monkeypatch):
    _, params = engines.start(TINY)
    params.flat[...] = np.random.default_rng(0).standard_normal(params.flat.size)
    for module in ("engines", "answers"):
        monkeypatch.setattr(
            f"demos.benchmark.{module}.start",
            lambda config: (engines.minivit.ViT(**config), params),
        )
    ours = one_answer("Classifier", count)
    assert ours.shape == (count, 7)
    logits = one_answer("training.predict", count)
    numer = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(numer / numer.sum(axis=1, keepdims=True), ours, atol=1e-5)
    pytest.importorskip("torch")
    np.testing.assert_allclose(one_answer("torch-eager, inference mode", count), ours, atol=1e-4)


@pytest.mark.parametrize("torch", [True, False])
def test_prints_and_returns_all_tables(monkeypatch, capsys, torch):
    asked = []

    def race(names, config, batch_size, options):
        asked.append((config["patch_size"], config["dim"], batch_size))
        speeds = {"minivit": 1e9 / engines.operations(config), "matrix products": 4e9}
        return {name: (speeds.get(name, 100.0), 50) for name in names}

    monkeypatch.setattr(costs, "race", race)
    monkeypatch.setattr(costs, "PATCHES", [2, 1])
    monkeypatch.setattr(costs, "WIDTHS", [3, 6])
    names = [
        "minivit",
        "matrix products",
        *ANSWERS,
        *(["torch-eager", "torch-compile"] if torch else []),
    ]
    found = costs.costs(TINY, names, OPTIONS)
    assert {row["engine"] for row in found["answers"]} == set(ANSWERS)
    assert [row["batch_size"] for row in found["batches"] if row["engine"] == "minivit"] == (
        costs.BATCHES
    )
    assert {row["engine"] for row in found["batches"]} == (
        {"minivit", "torch-eager"} if torch else {"minivit"}
    )
    assert found["imports"].keys() == {"numpy", "minivit"}
    assert min(found["imports"].values()) > 0
    for table in ("tokens", "widths"):  # a machine that is as fast whatever the size
        for row in found[table]:
            assert row["us"] == pytest.approx(row["predicted_us"])
            assert row["peak_share"] == pytest.approx(0.25)
    assert [row["tokens"] for row in found["tokens"]] == [6, 24]
    assert asked[-2:] == [(2, 3, 8), (2, 6, 8)]
    printed = capsys.readouterr().out
    for title in ("images at once", "import", "images in a step", "patch_size", "dim"):
        assert title in printed
    assert ("torch-eager, us an image" in printed) == torch
