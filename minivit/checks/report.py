"""What a gradient check found, as rows and as a printed table."""

from dataclasses import dataclass, field

UNKNOWN = "the cause is not known: no multiple, rearrangement, part or term of what it should be"


@dataclass(frozen=True)
class Row:
    """The comparison of one array's gradient: the input x, or a parameter by its dotted name.

    error:   the largest difference, relative to the largest number in the array's gradient
    index:   where it is; None for a slope along a random direction
    checked: how many entries, or directions, were compared
    cause:   what most likely went wrong, in a sentence; None if nothing did, or in a sample
    """

    name: str
    shape: tuple
    error: float
    index: tuple | None
    analytic: float
    numeric: float
    verdict: str
    checked: int
    cause: str | None = None

    @property
    def ok(self):
        return self.verdict in ("ok", "structurally zero")


@dataclass
class Report:
    """What `gradcheck` found.

    rows:     a Row for each array
    notes:    what made the comparison worth less
    problems: what made it worthless, or is wrong in the layer as a whole
    culprits: {path: Report} of the smallest layers inside that are wrong by themselves
    handed:   where none is, which of them is the first to be handed a wrong gradient, and why
    ok:       every gradient is right, and there is no problem
    """

    method: str
    mode: str
    rows: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    problems: list = field(default_factory=list)
    culprits: dict = field(default_factory=dict)
    handed: str | None = None

    def problem(self, text):
        """Note, once, what makes the comparison worthless or the layer wrong as a whole."""
        if text not in self.problems:
            self.problems.append(text)

    @property
    def ok(self):
        return bool(self.rows) and not self.problems and all(row.ok for row in self.rows)

    def explanation(self):
        """What went wrong and most likely why, in one line for each array that shows it."""
        lines = [self.handed] if self.handed else []
        causes = {}  # those of one cause in one line, those without any last
        for row in sorted(self.rows, key=lambda row: row.cause == UNKNOWN):
            if row.cause:
                causes.setdefault(row.cause, []).append(row.name)
        lines += [f"{_short(names)}: {cause}" for cause, names in causes.items()]
        for path, report in self.culprits.items():
            why = report.explanation() + report.problems
            lines += [f"{path}, wrong by itself: {line}" for line in why]
        return lines

    def table(self):
        """The rows as text: what was found, without what is made of it."""
        head = ("name", "shape", "worst error", "at", "analytic", "numeric", "verdict")
        table = [head]
        for row in self.rows:
            where = "a direction" if row.index is None else str([int(i) for i in row.index])
            numbers = f"{row.error:.1e}", where, f"{row.analytic:.6g}", f"{row.numeric:.6g}"
            table.append((row.name, str(tuple(row.shape)), *numbers, row.verdict))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in table)

    def __str__(self):
        lines = [self.table(), *self.explanation()]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"PROBLEM: {problem}" for problem in self.problems]
        wrong = [row.name for row in self.rows if not row.ok]
        if self.ok:
            lines.append(f"All {len(self.rows)} gradients agree ({self.method}, {self.mode}).")
        elif wrong:
            lines.append(f"Not right: {_short(wrong)}.")
        return "\n".join(lines)


def _short(names):
    more = f" and {len(names) - 4} more" if len(names) > 5 else ""
    return ", ".join(names[:4] if more else names) + more


@dataclass(frozen=True)
class Finding:
    """One property: its name, whether it holds, and what was seen."""

    name: str
    ok: bool
    seen: str


@dataclass
class Findings:
    """What `structure` found. ok: every property holds."""

    found: list = field(default_factory=list)

    def add(self, name, ok, seen):
        self.found.append(Finding(name, bool(ok), seen))

    @property
    def ok(self):
        return all(finding.ok for finding in self.found)

    def __str__(self):
        return "\n".join(
            f"{'ok   ' if finding.ok else 'WRONG'}  {finding.name}"
            + ("" if finding.ok else f" ({finding.seen})")
            for finding in self.found
        )
