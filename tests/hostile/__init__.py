"""Bad input, by mistake or ill will: the rows of tests/test_hostile.py."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Place(NamedTuple):
    """Where an input is made: an empty folder, and the address of a web server on loopback."""

    folder: Path
    web: str


class Row(NamedTuple):
    """One bad input, and the one line in which it must be refused."""

    what: str
    ask: Callable  # what a user does with it
    give: Callable  # Place -> what is handed in; if a path or an address, the line must name it
    message: str  # a regular expression
    error: type = ValueError


def name_of(row):
    return f"{row.ask.__name__}: {row.what}"
