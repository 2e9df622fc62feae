"""checksums.json: the SHA-256 sums by which damage to a folder's files is noticed.

    {"config.json": ["9f86d081…"], "weights.safetensors": ["60303ae2…", "fd61a03a…"]}

The sum of a file is written before the file is, and beside it the sum of what the file replaces. So
a file has one of its sums whenever the process is killed, and whenever another one reads it.
"""

import hashlib
from os import PathLike
from pathlib import Path

from .files import read_json, write_file, write_json

CHECKSUMS = "checksums.json"
REMEDY = "Put back a good copy; resuming the run writes anew what its checkpoint holds"


def write_summed(path: str | PathLike, data: bytes) -> None:
    """Write bytes to `path` as `write_file` does, and before that their sum.

    Errors: those of `write_file`.
    """
    path = Path(path)
    sums_file = path.with_name(CHECKSUMS)
    try:
        sums = _read_sums(sums_file)
    except (FileNotFoundError, ValueError):  # none yet; damaged
        sums = {}
    before, after = _sum_of(path), hashlib.sha256(data).hexdigest()
    known = sums.get(path.name, [before])  # a file that has no sum yet counts as good
    kept = [before] if before in known and before not in (None, after) else []
    if sums.get(path.name) != [*kept, after]:
        write_json(sums_file, sums | {path.name: [*kept, after]})
    write_file(path, data)


def expect_undamaged(folder: str | PathLike, *names: str) -> bool:
    """Return whether there is a checksums.json, so that these files of a folder are known as good.

    Read the files before, which bounds their size: here all of each is read.
    Errors: ValueError naming a file that is damaged, and the remedy; OSError if it cannot be read.
    """
    folder = Path(folder)
    if not (folder / CHECKSUMS).exists():
        return False
    actual = {name: _sum_of(folder / name) for name in names}  # before the sums, see above
    try:
        sums = _read_sums(folder / CHECKSUMS)
    except ValueError as error:
        raise ValueError(f"{error}. {REMEDY}") from error
    for name in names:
        if actual[name] not in sums.get(name, []):
            raise ValueError(
                f"{folder / name} is damaged or was edited: its SHA-256 sum is not in "
                f"{CHECKSUMS}. {REMEDY}"
            )
    return True


def _read_sums(path):
    """{name of a file: its sums}; FileNotFoundError without the file, ValueError if damaged."""
    sums = read_json(path)
    if not all(isinstance(totals, list) for totals in sums.values()):
        raise ValueError(f"{path} is damaged: expected a list of sums for each file")
    return sums


def _sum_of(path):
    """The SHA-256 sum of a file, in hex; None if there is no file."""
    if not path.is_file():
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
