"""Hand in every hostile input, each to a process of its own, and measure what its refusal takes.

.venv/bin/python -m tests.attacks.hostile_inputs
"""

import contextlib
import io
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

from minivit.data import download
from minivit.data import images as reading
from tests.data.server import serving
from tests.hostile import Place, name_of, urls
from tests.test_hostile import MOST, TABLE, refusal_of


def outcome(row, web):
    """How an input is refused: what is wrong with that, or None; seconds, and bytes of memory."""
    reading.SECONDS, download.MOST_BYTES, os.environ["no_proxy"] = 0.4, 300_000, "*"
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.redirect_stdout(io.StringIO()):
            hostile = row.give(Place(Path(folder), web))
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
        before, start, wrong = resident("VmRSS"), time.monotonic(), None
        try:
            refusal_of(row, hostile)
        except BaseException as error:  # pytest's failures are no Exception
            wrong = f"{type(error).__name__}: {error}"
        return wrong, time.monotonic() - start, resident("VmHWM") - before


def resident(name):
    """Bytes of memory that this process has (VmRSS), or had at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def outcome_of(number, web):
    return outcome(TABLE[number], web)


def main():
    unfit = "not to be read"  # by anyone but root
    numbers = [n for n, row in enumerate(TABLE) if unfit not in row.what or os.geteuid()]
    refused, worst = 0, [(0, ""), (0, "")]
    processes = multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1)
    with serving(urls.PATHS) as web, processes as pool:
        for number in numbers:
            name = name_of(TABLE[number])
            wrong, *spent = pool.apply_async(outcome_of, (number, web)).get(60)
            refused += not wrong
            worst = [max(old, (new, name)) for old, new in zip(worst, spent, strict=True)]
            if wrong:
                print(f"{name}: {wrong}")
    (seconds, slowest), (size, largest) = worst
    limit, most = MOST
    print(f"{len(numbers)} hostile inputs, {refused} refused in one line")
    print(f"slowest: {seconds:.1f} s of {limit} ({slowest})")
    print(f"largest: {size / 1e6:.0f} MB of {most / 1e6:.0f} ({largest})")
    return 0 if refused == len(numbers) else 1


if __name__ == "__main__":
    sys.exit(main())
