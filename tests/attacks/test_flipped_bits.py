import pytest

from tests.attacks import flipped_bits


@pytest.mark.slow
def test_no_flipped_bit_is_silently_used(capsys):
    counts = flipped_bits.attack(flips=150, seed=1)
    outcomes = {what for _, what in counts}
    assert outcomes == {"refused", "no effect"}, capsys.readouterr().out
    refused = {name for name, what in counts if what == "refused"}
    assert {"config.json", "metrics.csv", "training.json", "weights.safetensors"} <= refused
