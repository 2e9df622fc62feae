from collections import Counter

from tests import device_calls
from tests.demos.test_benchmark import TINY
from tests.stand_in import installed


def test_a_step_sends_its_batch_alone_and_waits_once(monkeypatch, capsys):
    table = device_calls.calls_by_layer(TINY, 3)
    total = sum(table.values(), Counter())
    batch = 3 * (6 * 4 * 3 + 8)  # bytes: pixels, and labels of 8 each
    assert total["bytes_in"] == table["batch and loss"]["bytes_in"] == batch
    assert total["synchronisations"] == table["fetching"]["synchronisations"] == 1
    assert table["ln1"]["calls"] == 2 * table["ln"]["calls"] > 0  # of two blocks
    monkeypatch.setattr(device_calls, "MODELS", {"tiny": TINY})
    device_calls.main(["--batch-size", "3"])
    *_, last = capsys.readouterr().out.splitlines()
    assert last.split()[:3] == ["all", str(total["calls"]), str(batch)]


def test_a_step_on_the_gpu_is_timed(monkeypatch, capsys):
    monkeypatch.setattr(device_calls, "MODELS", {"tiny": TINY})
    monkeypatch.setattr(device_calls, "time_of_step", lambda config, batch_size: 0.5)
    device_calls.main(["--time"])
    *_, of_all, last = capsys.readouterr().out.splitlines()
    calls = int(of_all.split()[1]) - calls_of_clipping()
    assert last == f"500.00 ms a step on the GPU, {5e5 / calls:.1f} µs a call"


def calls_of_clipping():
    return device_calls.calls_by_layer(TINY, 128)["clipping"]["calls"]


def test_the_step_that_is_timed_runs_on_the_gpu():
    with installed() as stand_in:
        before = stand_in.counts.copy()
        assert device_calls.time_of_step(TINY, 3) > 0
        assert (stand_in.counts - before).calls > 20
