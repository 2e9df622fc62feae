"""Plant bugs in the engine, one at a time, and see what the checks of the suite say of each.

    .venv/bin/python -m tests.attacks.planted_bugs [--file FILE] [--name NAME]

The bugs, 60 a file, stand in the FILES, in the form of the catalogue, minivit/checks/faults.toml.
They are of the kinds that people make: seen only at some sizes or values, kept between calls, the
same in both passes, of a dtype, of one axis, of a batch. Every check of the suite runs on each. A
bug is

    missed       if no check complains
    explained    if a line that is said, other than of an unknown cause, matches one of its `means`
    misleading   if a line matches one of its `misleads`, explained or not
    vague        if nothing is said but that the cause is unknown
    unclear      otherwise

Whether a line is true takes a reader: every different one is printed under the true cause.
"""

import argparse
import collections
import re
import tomllib
import warnings
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from minivit.checks.faults import planted
from minivit.checks.suite import CHECKS

FILES = ("bugs.toml", "fresh_bugs.toml", "third_bugs.toml")
OUTCOMES = ("missed", "explained", "vague", "unclear")
VAGUE = re.compile("unknown|not known")  # of a cause


@dataclass(frozen=True)
class Bug:
    """A bug, its true cause, and how to tell whether an explanation names it."""

    name: str
    bug: str
    truth: str
    means: list
    misleads: list
    change: dict


def bugs(file):
    """Return {name: Bug} of one of the FILES."""
    text = Path(__file__).with_name(file).read_text(encoding="utf-8")
    return {name: Bug(name, **entry) for name, entry in tomllib.loads(text).items()}


def complaints(bug):
    """Run every check with the bug in the engine; return {check: what it says} of those not ok."""
    said = {}
    with planted(bug), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, check in CHECKS.items():
            try:
                report = check()
            except Exception as error:
                said[name] = [f"raises {type(error).__name__}: {error}"]
                continue
            if not report.ok:
                said[name] = lines_of(report)
    return said


def lines_of(report):
    """What a report says is wrong, a line each."""
    if hasattr(report, "explanation"):
        lines = report.explanation() + report.problems
        return lines or [f"{row.name} {row.verdict}" for row in report.rows if not row.ok]
    return [f"{finding.name} ({finding.observed})" for finding in report if not finding.ok]


def different(said):
    """The lines that say different things, each once: {line: the check that says it}."""
    seen, lines = set(), {}
    for check, own in said.items():
        for line in own:
            core = line.rpartition("is wrong on its own: ")[2]
            key = re.sub(r"\d+|'.*?'", "#", core)  # numbers and names
            if key not in seen:
                seen.add(key)
                lines[core] = check
    return lines


def judged(bug, said):
    """(outcome, whether a line misleads) of the lines that are said."""
    if not said:
        return "missed", False
    lines = [line for line in different(said) if not VAGUE.search(line)]
    misleading = any(re.search(phrase, line) for phrase in bug.misleads for line in lines)
    if any(re.search(phrase, line) for phrase in bug.means for line in lines):
        return "explained", misleading
    return "unclear" if lines else "vague", misleading


def shown(bug, said, outcome, misleading):
    """The bug in a few lines."""
    checks = f" by {', '.join(said)}" if said else ""
    head = f"{bug.name}: {outcome}{' and MISLEADING' if misleading else ''}{checks}"
    lines = [f"    {check:>14} | {line[:240]}" for line, check in different(said).items()]
    return "\n".join([head, f"             truth | {bug.truth}", *lines])


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.planted_bugs")
    parser.add_argument("--file", choices=FILES, default=FILES[0], help="the bugs of this file")
    every = {name: bug for file in FILES for name, bug in bugs(file).items()}
    parser.add_argument("--name", choices=every, nargs="+", help="these bugs alone, of any file")
    options = parser.parse_args(argv)
    counts = collections.Counter()
    for name in tqdm(options.name or list(bugs(options.file)), disable=None):
        bug = every[name]
        said = complaints(bug)
        outcome, misleading = judged(bug, said)
        counts[outcome] += 1
        counts["misleading"] += misleading
        print(shown(bug, said, outcome, misleading), flush=True)
    total = sum(counts[outcome] for outcome in OUTCOMES)
    print(f"\n{total} bugs: {total - counts['missed']} caught")
    print(", ".join(f"{counts[outcome]} {outcome}" for outcome in [*OUTCOMES, "misleading"]))
    return counts


if __name__ == "__main__":
    main()
