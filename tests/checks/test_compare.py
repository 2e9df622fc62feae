import numpy as np
import pytest

from minivit.checks.compare import judge, measure, report_noise, unknown
from minivit.checks.report import Report
from minivit.checks.slopes import Slopes, directions_of
from minivit.params import Params

X = np.random.default_rng(0).standard_normal(6)


def judged(f, gradient, method="complex", x=X, largest=1.0):
    """The verdict on a gradient of Σ f(x), and the row."""
    slopes = Slopes(lambda params, x: (f(x), {}), Params({}), x, np.ones(x.shape), None)
    report = Report(method, "full")
    directions = directions_of(x, "full", 10, None)
    row, _ = judge(measure("x", x, gradient, directions, slopes, report), slopes, report, largest)
    return row


@pytest.mark.parametrize(
    "wrong, method, verdict",
    [
        (1 + 3e-13, "complex", "ok"),
        (1 + 3e-12, "complex", "WRONG"),
        (1 + 3e-8, "central", "ok"),
        (1 + 3e-6, "central", "WRONG"),
    ],
)
def test_the_tolerance_is_relative_to_the_largest_of_the_gradient(wrong, method, verdict):
    row = judged(np.exp, wrong * np.exp(X), method)
    assert row.verdict == verdict
    assert row.error == pytest.approx(wrong - 1, rel=0.2)
    assert row.index == (np.abs(X - X.max()).argmin(),)
    one_wrong = np.exp(X)
    one_wrong[1] *= wrong  # counts by its difference alone
    assert judged(np.exp, one_wrong, method).error <= wrong - 1


def test_what_is_below_the_rounding_of_the_pass_is_zero():
    assert judged(lambda x: 1e-15 * x, 0 * X).verdict == "structurally zero"
    assert judged(lambda x: 1e-13 * x, 0 * X).verdict == "WRONG"
    assert judged(lambda x: 1e-13 * x, 0 * X, largest=100.0).verdict == "structurally zero"


def test_an_array_without_slopes_is_unknown():
    report = Report("complex", "full")
    slopes = Slopes(lambda p, x: (x.astype(float), {}), Params({}), X, np.ones(6), None)
    assert measure("x", X, X, directions_of(X, "full", 10, None), slopes, report) is None
    assert "not analytic" in report.problems[0]
    assert not unknown("x", (6,)).ok


@pytest.mark.parametrize("size, noisy", [(1.0, False), (1e4, False), (1e9, True)])
def test_the_noise_of_differences_grows_with_the_loss(size, noisy):
    report = Report("central", "full")
    slopes = Slopes(lambda p, x: (size + x, {}), Params({}), X, np.ones(6), None)
    report_noise(slopes, report)
    assert bool(report.problems) == noisy
