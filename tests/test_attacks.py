"""A sample of the attacks in tests/attacks/, whose commands run all of them."""

import pytest

from tests.attacks import right_layers


@pytest.mark.slow
def test_no_right_layer_is_accused(capsys):
    """A quarter of a minute."""
    outcomes = right_layers.main(["--count", "500", "--seed", "1"])
    assert outcomes["accused"] == 0, capsys.readouterr().out
    assert outcomes["right"] > 450


def test_a_case_is_the_same_in_every_run():
    one, other = (right_layers.drawn(0, 3) for _ in "ab")
    assert one.described == other.described
    assert str(one.check()) == str(other.check())
