"""Whatever a user hands in, the answer is one clear line, in bounded time and memory.

The table stands in tests/hostile/, a file for each kind of input.
"""

import os
from pathlib import Path

import pytest

from demos import evaluate, predict, train_mnist
from minivit.data import download
from minivit.data import images as reading
from tests.data.server import serving
from tests.hostile import (
    Place,
    checkpoints,
    idx,
    images,
    labels,
    limits,
    name_of,
    runs,
    urls,
    weights,
)

KINDS = (images, urls, runs, checkpoints, idx, labels, weights)
TABLE = [row for kind in KINDS for row in kind.ROWS]
MOST, LESS = (20, 2**29), (10, 300_000_000)  # seconds and bytes


@pytest.fixture(scope="module")
def web():
    with serving(urls.PATHS) as address:
        yield address


@pytest.fixture
def place(tmp_path, web, monkeypatch):
    monkeypatch.setattr(reading, "SECONDS", 0.4)
    monkeypatch.setattr(download, "MOST_BYTES", 300_000)
    monkeypatch.setenv("no_proxy", "*")
    return Place(tmp_path, web)


def refusal_of(row, hostile):
    """Hand in a row's input, check how it is refused, and return the line that says so."""
    most = LESS if row in weights.ROWS else MOST
    with limits(*most), pytest.raises(row.error, match=row.message) as refused:
        row.ask(hostile)
    message = str(refused.value)
    assert message.isprintable()  # in one line
    assert len(message) < 600 + len(str(hostile))
    if isinstance(hostile, (str, Path)) and str(hostile).isprintable() and "@" not in str(hostile):
        assert str(hostile) in message
    return message


@pytest.mark.parametrize("row", TABLE, ids=name_of)
def test_is_refused_in_one_line(row, place, capfd):
    if "not to be read" in row.what and os.geteuid() == 0:
        pytest.skip("root may read everything")
    hostile = row.give(place)
    capfd.readouterr()
    refusal_of(row, hostile)
    assert capfd.readouterr() == ("", "")


def test_the_table_has_no_row_twice():
    names = [name_of(row) for row in TABLE]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("row", runs.ROWS, ids=name_of)
def test_a_demo_refuses_a_hostile_run_with_status_2(row, place, capfd, monkeypatch):
    if "not to be read" in row.what and os.geteuid() == 0:
        pytest.skip("root may read everything")
    monkeypatch.chdir(place.folder)
    run = row.give(place)
    for demo, more in ((evaluate, []), (predict, ["a.png"])):
        assert demo.main([str(run), *more]) == 2
        printed = capfd.readouterr()
        assert len(printed.err.splitlines()) == 1
        assert printed.out == ""


@pytest.mark.parametrize("row", checkpoints.RUNS, ids=lambda row: row[0])
def test_a_run_that_cannot_be_resumed_ends_with_status_2(row, place, capfd):
    run = row[1](place)
    capfd.readouterr()
    assert train_mnist.main(["--resume", str(run)]) == 2
    printed = capfd.readouterr()
    assert len(printed.err.splitlines()) == 1
    assert printed.out == ""
