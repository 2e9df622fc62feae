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
    lines = "\n".join([*tried.HEADER, *map(tried.line, rows)])
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
    usual, changed, again = (tried.row_of(name, 2) for name in ("usual", "changed", "usual"))
    assert (usual["losses"] == changed["losses"]) == (not change)
    assert usual["losses"] == again["losses"]
    assert usual["losses"][0] != usual["losses"][1]  # of two seeds
    assert muon.orthogonalised.__defaults__ == (5,)
    assert all(seconds > 0 for seconds in changed["seconds"])


def test_a_row_is_told_with_its_standard_error():
    row = dict(change="x", accuracies=[0.98, 1.0], losses=[0.1, 0.3], seconds=[1, 2])
    assert tried.line(row) == "| x | 99.00 ± 1.00 % | 0.2000 | 1.5 |"
