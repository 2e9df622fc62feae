"""What the gradient checks of courses and libraries say of the bugs of the catalogue.

    python -m docs.other_checks            measures, and prints the tables of neighbours.md
    python -m docs.other_checks --write    writes them into it

Every rule of other_rules.py looks at the layers and sizes at which the catalogue's own check finds
a bug, with five seeds. It catches a bug if it says so with every seed.
"""

import argparse
import dataclasses
import re
from pathlib import Path

from minivit.checks.cases import CASES
from minivit.checks.faults import faults

from .other_rules import RULES, Rule, both, differs_from_reference

PAGE = Path(__file__).with_name("neighbours.md")
SEEDS = range(5)
CASE_OF = {  # of a bug that another check than a case finds, by the beginning of its place
    "layers.softmax": "softmax", "layers.attention": "attention", "layers.dropout": "dropout",
    "layers.patches": "patches", "layers.positions": "positions", "layers.block": "block",
    "layers.class_token": "class_token", "layers.hiding": "masked_attention",
    "layers.masked_attention": "rotary_attention", "layers.cross_attention": "cross_attention",
    "losses.sequence": "sequence_loss", "losses": "cross_entropy",
}  # fmt: skip
REASONS = {  # what hides an error, and the rule without that
    "the upstream gradient of ones": dict(ones=False),
    "the initial parameters": dict(initial=False),
}


def exactly(f, dy, rng, expected):
    """The complex step along a random direction of each array: right to rounding or wrong."""
    gradients = f.gradients(dy)
    largest = max(abs(g).max(initial=0) for g in gradients.values())
    for name, written in gradients.items():
        direction = rng.standard_normal(f.at[name].shape)
        numeric = (f.moved({name: direction}, 1e-30j) * dy).sum().imag / 1e-30
        if written.shape != direction.shape:
            return True
        if not abs((written * direction).sum() - numeric) <= 1e-11 * largest + 1e-10 * abs(numeric):
            return True
    return False


EXACT = Rule("", "", "", exactly, {})
REFERENCE = Rule("", "", "", differs_from_reference, both(1e-9), reference=True)


def case_of(fault):
    """The name of the layer to look at, or None if no layer has the bug."""
    if fault.check in CASES:
        return fault.check
    place = next(iter(fault.change))
    return next((case for start, case in CASE_OF.items() if place.startswith(start)), None)


def bugs():
    """Return ({name: Fault} with a wrong gradient, {name: Fault} wrong in both passes alike)."""
    wrong, alike = {}, {}
    for name, fault in faults().items():
        if case := case_of(fault):
            if any(EXACT.catches(case, seed, fault) for seed in SEEDS):
                wrong[name] = fault
            elif any(REFERENCE.catches(case, seed, fault) for seed in SEEDS):
                alike[name] = fault
    return wrong, alike


def seeds_of(rule, fault, seeds=SEEDS):
    """With how many of the seeds a rule finds a bug."""
    return sum(rule.catches(case_of(fault), seed, fault) for seed in seeds)


def accused(rule, seeds=SEEDS):
    """The names of the right layers that a rule finds an error in, with any of the seeds."""
    return [name for name in CASES if any(rule.catches(name, seed) for seed in seeds)]


def why_missed(rule, fault):
    """What hides a bug from a rule: the first change to the rule that shows it with every seed."""
    for reason, change in REASONS.items():
        if seeds_of(dataclasses.replace(rule, **change), fault) == len(SEEDS):
            return reason
    return "its size"


def row_of(rule, wrong, alike):
    """The row of a rule in the table, and {reason: names} of what it does not always catch."""
    found = {name: seeds_of(rule, fault) for name, fault in wrong.items()}
    missed = [name for name, count in found.items() if count < len(SEEDS)]
    sometimes = sum(found[name] > 0 for name in missed)
    accuses = accused(rule)
    in_accused = sum(case_of(wrong[name]) in accuses for name in found if name not in missed)
    of_alike = sum(
        seeds_of(rule, fault) == len(SEEDS) and case_of(fault) not in accuses
        for fault in alike.values()
    )
    caught = f"{len(wrong) - len(missed)}"
    caught += f", {in_accused} of them where it accuses the right layer too" if in_accused else ""
    caught += f", and {sometimes} more with some seeds" if sometimes else ""
    cells = rule.name, caught, of_alike, len(accuses), 0, rule.prints
    reasons = {}
    for name in missed:
        reasons.setdefault(why_missed(rule, wrong[name]), []).append(name)
    return "| " + " | ".join(map(str, cells)) + " |", reasons


def own_row(wrong, alike):
    """The row of minivit's checks, of which the tests hold that no fault escapes them."""
    named = sum("cause unknown" not in fault.says for fault in (wrong | alike).values())
    return f"| minivit | {len(wrong)} | {len(alike)} | 0 | {named} | the cause, in a sentence |"


def header(wrong, alike):
    titles = (
        "check", f"caught of {len(wrong)} wrong gradients",
        f"caught of {len(alike)} that are wrong in both passes alike",
        f"right layers accused, of {len(CASES)}",
        f"causes named, of {len(wrong) + len(alike)}", "what it prints",
    )  # fmt: skip
    return ["| " + " | ".join(titles) + " |", "|---|---|---|---|---|---|"]


def tables(rules=RULES):
    """The table, and under it what each rule misses and why."""
    wrong, alike = bugs()
    lines, missed = header(wrong, alike), [""]
    for rule in rules:
        row, reasons = row_of(rule, wrong, alike)
        lines.append(row)
        for reason, names in reasons.items():
            listed = ", ".join(f"`{name}`" for name in names)
            missed.append(f"- {rule.name}, hidden by {reason}: {listed}.")
    return [*lines, own_row(wrong, alike), *missed]


def written(page, name, lines):
    """The page with other lines between the marks of that name."""
    marks = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    between = re.compile(f"{re.escape(marks[0])}.*?{re.escape(marks[1])}", re.DOTALL)
    return between.sub(lambda _: marks[0] + "\n".join([*lines, marks[1]]), page)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="write the tables into the page")
    options = parser.parse_args(argv)
    lines = tables()
    print("\n".join(lines))
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(written(page, "other checks", lines), encoding="utf-8")


if __name__ == "__main__":
    main()
