"""The results of checks: compared gradients (Report) and checked properties (Findings)."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..html import listing, table

UNKNOWN = "cause unknown: not a multiple, rearrangement, part or term of the right gradient"


@dataclass
class Row:
    """The comparison of one array's gradient: the input x, or a parameter by its dotted name."""

    name: str
    shape: tuple
    error: float  # the largest difference, relative to the largest number in the array's gradient
    index: tuple | None  # its place in the array; None for a slope along a random direction
    analytic: float
    numeric: float
    verdict: str
    checked: int  # the number of entries, or directions, that were compared
    compared: tuple = ()  # (analytic, numeric), the slopes of them all
    cause: str | None = None  # the most likely cause of a wrong gradient, in a sentence

    @property
    def ok(self):
        return self.verdict in ("ok", "structurally zero")


@dataclass
class Report:
    """The result of `gradcheck`. ok: every gradient is right, and there is no problem."""

    method: str
    mode: str
    rows: list = field(default_factory=list)  # a Row for each array
    notes: list = field(default_factory=list)  # what weakens the comparison
    problems: list = field(default_factory=list)  # what invalidates it, or is wrong as a whole
    # {path: Report} of the smallest layers inside that are wrong on their own
    culprits: dict = field(default_factory=dict)
    # if there are none: which layer inside is the first to receive a wrong gradient, and why
    upstream: str | None = None

    def problem(self, text):
        """Add a problem, once."""
        if text not in self.problems:
            self.problems.append(text)

    @property
    def ok(self):
        return bool(self.rows) and not self.problems and all(row.ok for row in self.rows)

    def explanation(self):
        """The most likely causes, a line for each; arrays with the same cause share one."""
        lines = [self.upstream] if self.upstream else []
        causes = {}
        for row in sorted(self.rows, key=_doubt):
            if row.cause:
                causes.setdefault(row.cause, []).append(row.name)
        lines += [f"{_short(names)}: {cause}" for cause, names in causes.items()]
        for path, report in self.culprits.items():
            why = report.explanation() + report.problems
            lines += [f"{path} is wrong on its own: {line}" for line in why]
        return lines

    def cells(self):
        """A header and the rows, as texts, without their causes."""
        cells = [("name", "shape", "worst error", "at", "analytic", "numeric", "verdict")]
        for row in self.rows:
            where = "a direction" if row.index is None else str([int(i) for i in row.index])
            numbers = f"{row.error:.1e}", where, f"{row.analytic:.6g}", f"{row.numeric:.6g}"
            cells.append((row.name, str(tuple(row.shape)), *numbers, row.verdict))
        return cells

    def table(self):
        """The cells as one text."""
        cells = self.cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)

    def __str__(self):
        return "\n".join([self.table(), *self.remarks()])

    def _repr_html_(self):
        """What a notebook shows: the table, and then all that is said about it."""
        header, *rows = self.cells()
        outcome = "All right" if self.ok else "NOT RIGHT"
        caption = f"{outcome}: {self.method}, {self.mode}"
        return table(caption, header, rows) + listing(self.remarks())

    def remarks(self):
        """What is said under the table: causes, notes, problems, and the outcome."""
        lines = self.explanation()
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"PROBLEM: {problem}" for problem in self.problems]
        wrong = [row.name for row in self.rows if not row.ok]
        if self.ok:
            one = len(self.rows) == 1
            agree = "The gradient agrees" if one else f"All {len(self.rows)} gradients agree"
            lines.append(f"{agree} ({self.method}, {self.mode}).")
        elif wrong:
            lines.append(f"Not right: {_short(wrong)}.")
        return lines


def _doubt(row):
    """How little a row's cause says: it comes after those that say more."""
    return 2 if row.cause == UNKNOWN else (row.cause or "").startswith("it is right ")


def _short(names):
    more = f" and {len(names) - 4} more" if len(names) > 5 else ""
    return ", ".join(names[:4] if more else names) + more


class Finding(NamedTuple):
    """One property: its name, whether it holds, and what was observed if it does not."""

    name: str
    ok: bool
    observed: str


class Findings(list):
    """A list of Finding. ok: every property holds."""

    def add(self, name, ok, observed):
        self.append(Finding(name, bool(ok), observed))

    def expect(self, name, values, expected, tolerance=1e-6):
        """Add the property that a number, or every number of an array, is as expected."""
        ratios = np.ravel(values / np.asarray(expected))
        worst = ratios[np.argmax(abs(ratios - 1))]
        close = 1e-7 < abs(worst - 1) < 1e-3
        observed = (
            f"off by {worst - 1:+.1e} of itself"
            if close
            else f"{worst:.4g} times what it should be"
        )
        self.add(name, abs(worst - 1) <= tolerance, observed)

    @property
    def ok(self):
        return all(finding.ok for finding in self)

    def _repr_html_(self):
        """What a notebook shows: a row for each property."""
        rows = [(f.name, "ok" if f.ok else f"WRONG: {f.observed}") for f in self]
        return table("All right" if self.ok else "NOT RIGHT", ["property", "holds"], rows)

    def __str__(self):
        lines = [f"ok     {f.name}" if f.ok else f"WRONG  {f.name} ({f.observed})" for f in self]
        return "\n".join(lines)
