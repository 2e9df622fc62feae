import numpy as np
import pytest

from minivit.checks.report import UNKNOWN, Findings, Report, Row


def row(name, verdict="ok", cause=None, index=(1, 2)):
    return Row(name, (3, 4), 1.5e-3, index, 0.25, -2.0, verdict, 12, cause=cause)


def test_a_report_is_right_if_all_rows_are_and_there_is_no_problem():
    report = Report("complex", "full")
    assert not report.ok  # nothing was compared
    report.rows += [row("x")]
    assert report.ok
    assert str(report).endswith("\nThe gradient agrees (complex, full).")
    report.rows += [row("w", "structurally zero")]
    assert str(report).endswith("\nAll 2 gradients agree (complex, full).")
    report.problem("something")
    report.problem("something")
    assert report.problems == ["something"]
    assert not report.ok
    assert str(report).endswith("PROBLEM: something")


def test_the_table_has_a_line_for_each_array():
    report = Report("complex", "full", rows=[row("x"), row("w", "WRONG", index=None)])
    head, x, w = report.table().splitlines()
    assert " ".join(head.split()) == "name shape worst error at analytic numeric verdict"
    assert x.split() == ["x", "(3,", "4)", "1.5e-03", "[1,", "2]", "0.25", "-2", "ok"]
    assert w.split()[4:6] == ["a", "direction"]


def test_rows_of_one_cause_are_explained_in_one_line_and_the_unknown_last():
    causes = dict.fromkeys("abcdefgh", "why") | {"a": UNKNOWN}
    rows = [row(name, "WRONG", cause) for name, cause in causes.items()]
    report = Report("complex", "full", rows=rows)
    assert report.explanation() == ["b, c, d, e and 3 more: why", f"a: {UNKNOWN}"]
    inner = Report("complex", "full", rows=[row("x", "WRONG", "twice")], problems=["no"])
    report.culprits["deep.down"] = inner
    report.upstream = "first of all"
    lines = report.explanation()
    assert lines[0] == "first of all"
    assert lines[-2:] == [
        "deep.down is wrong on its own: x: twice",
        "deep.down is wrong on its own: no",
    ]


def test_findings():
    findings = Findings()
    findings.add("sky is blue", True, "grey")
    findings.expect("two and two make four", np.array([4, 4 + 1e-7]), 4)
    assert findings.ok
    findings.add("grass is green", False, "brown")
    findings.expect("all is two", [2, 3, -5, 2], 2)
    assert not findings.ok
    assert str(findings).splitlines() == [
        "ok     sky is blue",
        "ok     two and two make four",
        "WRONG  grass is green (brown)",
        "WRONG  all is two (-2.5 times what it should be)",
    ]


@pytest.mark.parametrize("values", [[1, float("nan")], [float("nan"), 1]])
def test_what_is_not_a_number_is_not_as_expected(values):
    findings = Findings()
    findings.expect("a number", values, 1)
    assert not findings.ok


def test_a_number_that_is_nearly_right_is_not_called_once_what_it_should_be():
    findings = Findings()
    findings.expect("pi", 3.1416, 3.14159265)
    findings.expect("four", 12.0, 4.0)
    assert [finding.observed for finding in findings] == [
        "off by +2.3e-06 of itself",
        "3 times what it should be",
    ]
