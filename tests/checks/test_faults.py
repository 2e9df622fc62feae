"""Every bug of the catalogue is caught, and nearly all of them for the right reason."""

import numpy as np
import pytest

from minivit.checks.faults import Fault, faults, planted
from minivit.checks.suite import CHECKS
from minivit.layers import Linear
from tests.samples import sample

LARGE = ("detector", "vit")  # checks that take long
BY_NAME = [
    pytest.param(name, marks=[pytest.mark.slow] * (fault.check in LARGE))
    for name, fault in faults().items()
]


@pytest.mark.parametrize("name", BY_NAME)
def test_a_fault_is_caught_and_its_cause_is_named(name):
    fault = faults()[name]
    with planted(fault):
        report = CHECKS[fault.check]()
    assert not report.ok
    assert fault.says in str(report), report


def test_the_cause_of_all_faults_is_named():
    assert [name for name, fault in faults().items() if "cause unknown" in fault.says] == []


@pytest.mark.parametrize("name", sample(CHECKS, 2))
def test_without_a_fault_every_check_is_right(name):
    report = CHECKS[name]()
    assert report.ok, report


def test_a_fault_is_gone_afterwards_even_after_an_error():
    function, before = Linear.backward, Linear.backward.__code__
    with pytest.raises(KeyError), planted(faults()["bias_averaged"]):
        assert function.__code__ is not before
        raise KeyError
    assert function.__code__ is before


@pytest.mark.parametrize(
    "diff, times", [("-x = 5\n+x = 6", 0), ("+x = 6", 1), ('-x = cache["x"]\n-rows = 1', 0)]
)
def test_refuses_a_change_of_lines_that_are_not_there(diff, times):
    fault = Fault("odd", "", "", "linear", "", {"layers.linear.Linear.backward": diff})
    with (
        pytest.raises(ValueError, match="fault odd: .* in the source, expected once"),
        planted(fault),
    ):
        pass


def test_a_change_may_take_lines_out_add_some_and_stand_in_several_places():
    diff = (
        '-x = cache["x"]\n+x = cache["x"]\n+twice = 2\n\n'
        "-dx = drows.reshape(x.shape)\n+dx = twice * drows.reshape(x.shape)"
    )
    fault = Fault("twice", "", "", "linear", "", {"layers.linear.Linear.backward": diff})
    with planted(fault):
        report = CHECKS["linear"]()
    assert [row.name for row in report.rows if not row.ok] == ["x"]
    assert np.isclose(report.rows[0].analytic, 2 * report.rows[0].numeric)
