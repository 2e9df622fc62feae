"""Bad input, by mistake or ill will: the rows of tests/test_hostile.py."""

import contextlib
import resource
import signal
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


@contextlib.contextmanager
def limits(seconds, size):
    """Inside the `with`, the process gets so many bytes more at most, and so many seconds."""

    def late(*_):
        raise AssertionError(f"it took more than {seconds} s")

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    usual = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * resource.getpagesize() + size
    handler = signal.signal(signal.SIGALRM, late)
    resource.setrlimit(resource.RLIMIT_AS, (most, usual[1]))
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, usual)
