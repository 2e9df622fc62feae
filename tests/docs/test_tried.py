"""docs/tried.py trains what it says, and performance.md shows its rows."""

import json

import pytest

from demos import train_mnist, training_options
from docs import tried
from minivit.optim import muon
from tests.data.idx import few_digits

SMALL = "--dim 8 --heads 2 --mlp-dim 5 --depth 1 --epochs 2 --batch-size 20 --shards 1"


def test_the_page_shows_the_rows():
    rows = json.loads(tried.ROWS.read_text())["rows"]
    assert [row["change"] for row in rows] == list(tried.CHANGES)
    assert {len(row["accuracies"]) for row in rows} == {5}
    lines = "\n".join(tried.lines_of(rows))
    assert f"<!-- tried -->\n{lines}\n<!-- /tried -->" in tried.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", tried.CHANGES)
def test_options_of_a_change_are_those_of_the_demo(name):
    more = tried.CHANGES[name].get("options", "").split()
    options = train_mnist.arguments(["--recipe", "quick", *more])
    training_options.model_of(options, [28, 28], 1, 10)


@pytest.mark.parametrize(
    "change", [change for change in tried.CHANGES.values() if "options" not in change]
)
def test_a_change_changes_the_training_and_nothing_else(tmp_path, monkeypatch, change):
    options = f"--data {few_digits(tmp_path / 'digits')} {SMALL}"
    monkeypatch.setitem(tried.CHANGES, "usual", dict(options=options))
    monkeypatch.setitem(tried.CHANGES, "changed", change | dict(options=options))
    usual, changed, again = tried.train_all(["usual", "changed", "usual"], 2)
    assert (usual["losses"] == changed["losses"]) == (not change)
    assert usual["losses"] == again["losses"]
    assert usual["losses"][0] != usual["losses"][1]  # of two seeds
    assert muon.orthogonalised.__defaults__ == (5,)
    assert all(seconds > 0 for seconds in changed["seconds"])


def test_a_row_is_told_with_its_standard_error_and_its_time_beside_the_first():
    rows = [
        dict(change="x", accuracies=[0.98, 1.0, 0.99], losses=[0.1, 0.3, 0.2], seconds=[1, 2, 8]),
        dict(change="y", accuracies=[0.5] * 3, losses=[1] * 3, seconds=[3, 2, 4]),
    ]
    _, _, first, second = tried.lines_of(rows)
    assert first == "| x | 99.00 ± 0.58 % | 0.2000 | 1.00 × |"
    assert second == "| y | 50.00 ± 0.00 % | 1.0000 | 1.00 × |"
