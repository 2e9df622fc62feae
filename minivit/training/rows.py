"""metrics.csv: a row for each step, appended as soon as the step is made."""

import csv
import io
import os

TYPES = dict(
    step=int, epoch=int, loss=float, accuracy=float, learning_rate=float, gradient_norm=float,
    validation_loss=float, validation_accuracy=float,
)  # fmt: skip
HEADER = ",".join(TYPES) + "\n"


class Rows:
    """The file, open to append rows to: dicts of the columns in TYPES, where None is an empty cell.

        with Rows(path) as rows:
            rows.append(row)
            rows.flush()                to disk, before a checkpoint says that the row is there

    Errors: OSError naming the file if it cannot be written.
    """

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.file = open(self.path, "a", encoding="utf-8", newline="")
        if self.file.tell() == 0:
            self.file.write(HEADER)
        return self

    def __exit__(self, *_):
        self.file.close()

    def append(self, row):
        line = io.StringIO()
        csv.DictWriter(line, TYPES, lineterminator="\n").writerow(row)
        self.file.write(line.getvalue())
        self.file.flush()

    def flush(self):
        os.fsync(self.file.fileno())


def read_rows(path, count):
    """Return the first `count` rows, and cut off what follows: rows of later steps, a torn line.

    Errors: ValueError naming the file if there are not as many whole rows.
    """
    if count == 0 and not path.is_file():
        return []
    try:
        data = path.read_bytes()
        lines = data.split(b"\n")[:-1][: 1 + count]  # whole ones: what follows the last \n is torn
        table = csv.DictReader(io.StringIO(b"\n".join(lines).decode()))
        rows = [{name: _value(TYPES[name], cell) for name, cell in row.items()} for row in table]
        steps = [row["step"] for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error})") from error
    if steps != list(range(count)):
        raise ValueError(
            f"{path} is damaged: it has {len(steps)} whole rows of steps, the checkpoint {count}"
        )
    end = sum(len(line) + 1 for line in lines)
    if end < len(data):
        os.truncate(path, end)
    return rows


def _value(kind, cell):
    return None if cell == "" else kind(cell)
