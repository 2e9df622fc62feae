"""A folder of submissions, graded: a line for each.

FOLDER/STUDENT/LAYER_backward.py     as an exercise is named when it is written
FOLDER/STUDENT_LAYER_backward.py     where a course's platform has no folders
"""

import contextlib
import csv
import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ...files import write_file
from ...threads import cores
from .exercise import EXERCISES
from .grading import Grade, failed, grade
from .process import prepared, stop_all
from .repair import REPAIRS, exercise_of

ENDING = "_backward.py"
COLUMNS = ("student", "exercise", "points", "arrays", "cause", "seconds", "seed", "minivit")
WIDTH = 100  # of a line of the table


class Submission(NamedTuple):
    """A student's answer to an exercise."""

    student: str
    exercise: str
    path: Path


def submissions(folder):
    """Return the Submissions of a folder, in order, and the other Python files in it.

    Errors: FileNotFoundError if there is none.
    """
    found, others = [], []
    for path in sorted([*Path(folder).glob("*.py"), *Path(folder).glob("*/*.py")]):
        stem, parts = path.name.removesuffix(ENDING), path.relative_to(folder).parts
        names = [name for name in (*EXERCISES, *REPAIRS) if f"_{stem}".endswith(f"_{name}")]
        name = max(names, key=len, default="")
        before = stem.removesuffix(name).rstrip("_- ")
        student = parts[0] if len(parts) == 2 else before
        if name and path.name.endswith(ENDING) and student:
            found.append(Submission(_printable(student), name, path))
        else:
            others.append(path)
    if not found:
        raise FileNotFoundError(
            f"{folder} has no submissions; expected {folder}/STUDENT/LAYER{ENDING} or "
            f"{folder}/STUDENT_LAYER{ENDING}, such as ada/softmax{ENDING}"
        )
    return found, others


def grade_folder(folder, found, seed, version):
    """Yield a row, a dict of COLUMNS, for each Submission found in a folder.

    Several at once, as many as there are cores. Each student has numbers drawn with a seed of their
    own, which comes from `seed`.
    """
    names = {exercise_of(each.exercise) for each in found}
    with contextlib.ExitStack() as stack:
        packages = {name: stack.enter_context(prepared(name)) for name in names}

        def row(submission):
            own = _seed_of(submission.student, seed)
            name = exercise_of(submission.exercise)
            how = dict(seed=own, package=packages[name], hidden=[folder], quiet=True)
            graded = _graded(submission.path, name, how)
            return dict(
                student=submission.student, exercise=submission.exercise,
                points=round(graded.points, 3), arrays=graded.arrays, cause=graded.cause,
                seconds=round(graded.seconds, 1), seed=own, minivit=version,
            )  # fmt: skip

        pool = stack.enter_context(ThreadPoolExecutor(cores()))
        stack.callback(stop_all)  # after Ctrl-C
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        yield from pool.map(row, found)


def _graded(path, name, how):
    """A Grade, whatever kind of file it is."""
    if path.is_symlink() or not path.is_file():
        return Grade(failed(name), f"{path.name} is a link or no file; it is not followed")
    try:
        return grade(path, name, **how)
    except OSError as error:
        return Grade(failed(name), f"{path.name} cannot be read: {error.strerror}")


def _seed_of(student, seed):
    digest = hashlib.sha256(f"{seed} {student}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def line_of(row, found):
    """A line of the table."""
    widths = [max(len(getattr(each, key)) for each in found) for key in ("student", "exercise")]
    start = f"{row['student']:{widths[0]}}  {row['exercise']:{widths[1]}}  {row['points']:4.0%}  "
    cause = row["cause"] or "right"
    room = max(30, WIDTH - len(start))
    return start + (cause if len(cause) <= room else f"{cause[: room - 1]}…")


def write_csv(path, rows):
    """Write the rows as a table for a spreadsheet, in which no cell begins as a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        arrays = " ".join(f"{name}:{int(right)}" for name, right in row["arrays"].items())
        writer.writerow([_plain(value) for value in (row | {"arrays": arrays}).values()])
    write_file(path, text.getvalue().encode())


def _plain(value):
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def _printable(text):
    return "".join(letter if letter.isprintable() else "?" for letter in text)
