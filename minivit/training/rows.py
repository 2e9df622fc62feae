"""metrics.csv: a row for each step, appended as soon as the step is made."""

import csv
import io
import itertools
import os

from ..files import errors_name, flush_folder

TYPES = dict(
    step=int, epoch=int, loss=float, accuracy=float, learning_rate=float, gradient_norm=float,
    validation_loss=float, validation_accuracy=float,
)  # fmt: skip
HEADER = ",".join(TYPES) + "\n"
LONGEST = 1000  # bytes of a row
REMEDY = "Put it back as it was, or start a new run"


class Rows:
    """The file, open to append rows to: dicts of the columns in TYPES, where None is an empty cell.

        with Rows(path) as rows:
            rows.append(row)
            rows.flush()                to disk, before a checkpoint counts on the row

    Errors: OSError naming the file if it cannot be written.
    """

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        with errors_name(self.path):
            self.file = open(self.path, "a", encoding="utf-8", newline="")
            if self.file.tell() == 0:
                self.file.write(HEADER)
            flush_folder(self.path.parent)
        return self

    def __exit__(self, *_):
        with errors_name(self.path):
            self.file.close()  # which tries once more to write what could not be written

    def append(self, row):
        with errors_name(self.path):
            csv.DictWriter(self.file, TYPES, lineterminator="\n").writerow(row)
            self.file.flush()

    def flush(self):
        with errors_name(self.path):
            os.fsync(self.file.fileno())


def read_rows(path, count):
    """Return the first `count` rows, and cut off what follows: rows of later steps, a torn line.

    Errors: ValueError naming the file if it does not hold a whole row for each of `count` steps.
    """
    if count == 0 and not path.exists():
        return []
    if path.exists() and not path.is_file():  # opening a pipe would wait for ever
        raise ValueError(f"{path} is damaged: it is a folder or a device. {REMEDY}")
    try:
        with open(path, "rb") as file:
            lines = itertools.islice(iter(lambda: file.readline(LONGEST), b""), 1 + count)
            lines = list(itertools.takewhile(lambda line: line.endswith(b"\n"), lines))  # none torn
            size = file.seek(0, os.SEEK_END)
        table = csv.DictReader(io.StringIO(b"".join(lines).decode()))
        rows = [{name: _value(TYPES[name], cell) for name, cell in row.items()} for row in table]
        steps = [row["step"] for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}). {REMEDY}") from error
    if steps != list(range(count)):
        raise ValueError(
            f"{path} is damaged: expected a row for each of the checkpoint's {count:,} steps, got "
            f"{len(steps):,} whole rows. {REMEDY}"
        )
    end = sum(map(len, lines))
    if end < size:
        os.truncate(path, end)
    return rows


def _value(kind, cell):
    return None if cell == "" else kind(cell)
