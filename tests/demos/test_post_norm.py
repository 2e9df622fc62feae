import re

import pytest

from demos import post_norm
from demos.options import command


def table(printed):
    """{(norm, warm-up): accuracies in percent}."""
    rows = re.findall(r"^(pre|post) +(\d+) steps(.*)$", printed, re.MULTILINE)
    return {
        (norm, int(warmup)): [int(n) for n in re.findall(r"(\d+)%", rest)]
        for norm, warmup, rest in rows
    }


def test_prints_a_row_for_each_kind(capsys, monkeypatch):
    for name, number in dict(DEPTH=1, STEPS=50, SEEDS=2).items():
        monkeypatch.setattr(post_norm, name, number)
    assert post_norm.main([]) == 0
    printed = capsys.readouterr().out
    assert printed.endswith(f": {command('explore')}\n")
    rows = table(printed)
    assert list(rows) == [("post", 0), ("post", 37), ("pre", 0), ("pre", 37)]
    assert all(len(accuracies) == 2 for accuracies in rows.values())


@pytest.mark.slow
@pytest.mark.thorough
def test_post_norm_learns_with_warm_up_and_not_without(capsys, monkeypatch):
    monkeypatch.setattr(post_norm, "SEEDS", 1)
    post_norm.main([])
    rows = {kind: accuracy for kind, (accuracy,) in table(capsys.readouterr().out).items()}
    assert rows["post", 0] < 40  # 10 is guessing; now and then a seed gets further
    assert rows["post", 300] > rows["post", 0] + 20
    assert min(rows["pre", 0], rows["pre", 300]) > 70
