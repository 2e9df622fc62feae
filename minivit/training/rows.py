"""metrics.csv: a row for each step, appended as soon as the step is made."""

import contextlib
import csv
import hashlib
import io
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
            rows.sum()                  the SHA-256 sum of all that the file holds, in hex

    Errors: OSError naming the file if it cannot be written.
    """

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        with errors_name(self.path):
            self.file = open(self.path, "ab")
            self.total = hashlib.sha256()
            if self.file.tell() == 0:
                self._write(HEADER)
            else:
                self.total.update(self.path.read_bytes())
            flush_folder(self.path.parent)
        return self

    def __exit__(self, *_):
        with errors_name(self.path):
            self.file.close()  # which tries once more to write what could not be written

    def append(self, row):
        line = io.StringIO()
        csv.DictWriter(line, TYPES, lineterminator="\n").writerow(row)
        with errors_name(self.path):
            self._write(line.getvalue())
            self.file.flush()

    def flush(self):
        with errors_name(self.path):
            os.fsync(self.file.fileno())

    def sum(self):
        return self.total.hexdigest()

    def _write(self, text):
        self.file.write(text.encode())
        self.total.update(text.encode())


def read_rows(path, count, its_sum):
    """Return the first `count` rows, and cut off what follows: rows of later steps, a torn line.

    its_sum: that of `Rows` after those rows
    Errors: ValueError naming the file if it does not hold those rows.
    """
    if count == 0:  # there may be no file yet, or a torn header
        with contextlib.suppress(FileNotFoundError):
            os.truncate(path, 0)
        return []
    if path.exists() and not path.is_file():  # opening a pipe would wait for ever
        raise ValueError(f"{path} is damaged: it is a folder or a device. {REMEDY}")
    try:
        with open(path, "rb") as file:
            kept = b"".join(file.readline(LONGEST) for _ in range(1 + count))
            size = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise ValueError(f"{path} is damaged ({error}). {REMEDY}") from error
    if hashlib.sha256(kept).hexdigest() != its_sum:
        raise ValueError(
            f"{path} is damaged or was edited: it does not begin with the {count:,} rows that the "
            f"checkpoint counts on. {REMEDY}"
        )
    if len(kept) < size:
        os.truncate(path, len(kept))
    table = csv.DictReader(io.StringIO(kept.decode()))
    return [{name: _value(TYPES[name], cell) for name, cell in row.items()} for row in table]


def _value(kind, cell):
    return None if cell == "" else kind(cell)
