import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from demos import sort
from minivit.models.vocabulary import BEGIN, END, SPECIAL
from tests.demos.digit_runs import last_error, proposed


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("reverse", [False, True])
def test_lists_are_sorted_or_reversed_between_begin_and_end(reverse):
    given, wanted = sort.lists(np.random.default_rng(0), 50, reverse)
    assert given.shape == (50, 8) and wanted.shape == (50, 10)
    assert given.min() == SPECIAL and given.max() == SPECIAL + sort.LARGEST
    assert (wanted[:, 0] == BEGIN).all() and (wanted[:, -1] == END).all()
    for one, other in zip(given.tolist(), wanted[:, 1:-1].tolist(), strict=True):
        assert other == (one[::-1] if reverse else sorted(one))


@pytest.mark.parametrize("options", [[], ["--reverse"]])
def test_it_learns_and_draws_where_it_looked(options, capsys, monkeypatch):
    monkeypatch.setattr(sort, "TESTED", 40)
    monkeypatch.setattr(sort, "TOLD", 10)
    assert sort.main([*options, "--steps", "20", "--json", "out.json"]) == 0
    printed = capsys.readouterr().out
    measured = json.loads(Path("out.json").read_text())
    assert list(measured) == ["lists_right", "numbers_right", "seconds", "parameters"]
    assert f"Of 40 new lists, {measured['lists_right']:.1%} are right" in printed
    assert f"Learning to {'reverse' if options else 'sort'} 8 numbers" in printed
    lines = [line.split() for line in printed.splitlines() if line.startswith("  step")]
    assert [line[1] for line in lines] == ["10", "20"]
    assert float(lines[1][3]) < float(lines[0][3])
    assert cv2.imread("sort.png").std() > 5
    assert proposed(printed.splitlines()[-1], "read") == []


@pytest.mark.slow
@pytest.mark.thorough
def test_it_sorts_in_the_end():
    assert sort.main(["--json", "out.json"]) == 0
    assert json.loads(Path("out.json").read_text())["lists_right"] > 0.9


def test_refuses_what_cannot_work(capsys):
    with pytest.raises(SystemExit):
        sort.main(["--steps", "0"])
    assert "--steps must be at least 1, got 0" in last_error(capsys)
