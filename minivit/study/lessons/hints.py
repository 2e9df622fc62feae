"""Hints in steps: the idea, the formula with its shapes, the first line."""

import tomllib
from pathlib import Path

from ...files import write_file
from .repair import REPAIRS, hints_of


def hints(name):
    """The hints of an exercise, the most helpful last; none in a copy for an exam."""
    if name in REPAIRS:
        return hints_of(name)
    text = Path(__file__).with_name("hints.toml").read_text(encoding="utf-8")
    return tomllib.loads(text).get(name, [])


def next_hint(name, seen):
    """Return the next hint, in words, and add it to the file `seen`, which has those before."""
    known = seen.read_text(encoding="utf-8").splitlines() if seen.exists() else []
    all_hints = hints(name)
    if len(known) >= len(all_hints):
        return f"There are no more hints; {seen} has all {len(known)}."
    hint = f"Hint {len(known) + 1} of {len(all_hints)}: {all_hints[len(known)]}"
    write_file(seen, "".join(f"{line}\n" for line in [*known, hint]).encode())
    return hint
