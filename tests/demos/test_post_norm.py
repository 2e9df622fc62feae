import re
import statistics

import pytest

from demos import post_norm


def table(printed):
    """{(norm, warm-up): accuracies in percent}."""
    rows = re.findall(r"^(pre|post) +(\d+) steps(.*)$", printed, re.MULTILINE)
    return {
        (norm, int(warmup)): [int(n) for n in re.findall(r"(\d+)%", rest)]
        for norm, warmup, rest in rows
    }


def test_prints_a_row_for_each_kind(capsys, monkeypatch):
    monkeypatch.setattr(post_norm, "DEPTH", 1)
    assert post_norm.main(["--steps", "50", "--seeds", "2"]) == 0
    rows = table(capsys.readouterr().out)
    assert list(rows) == [("post", 0), ("post", 37), ("pre", 0), ("pre", 37)]
    assert all(len(accuracies) == 2 for accuracies in rows.values())


@pytest.mark.parametrize("option", [["--steps", "49"], ["--steps", "469"], ["--seeds", "0"]])
def test_refuses_options_that_cannot_work(option):
    with pytest.raises(SystemExit):
        post_norm.arguments(option)


@pytest.mark.slow
def test_post_norm_learns_with_warm_up_and_not_without(capsys):
    post_norm.main(["--seeds", "2"])
    rows = table(capsys.readouterr().out)
    assert statistics.median(rows["post", 0]) < 30  # 10 is guessing; now and then one gets away
    assert statistics.median(rows["post", 300]) > 40
    assert min(rows["pre", 0] + rows["pre", 300]) > 70
