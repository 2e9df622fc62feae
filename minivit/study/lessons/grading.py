"""Grading an answer to an exercise.

A process of its own runs the answer, as the file may hang, crash or change anything there. It runs
in a copy of minivit without the solution, within limits, and leaves the arrays that the answer
computes in a few trials. The verdict is this process's: it compares them with those of minivit's
own layer. A class of a notebook is tried in the notebook's process.
"""

import contextlib
import time
from pathlib import Path
from typing import NamedTuple

from .answer import NotRight, try_answer
from .exercise import asked, solved
from .process import SAYS, prepared, run_answer
from .trials import compared, equal, expected, trials
from .without_solutions import complete, engines


class Grade(NamedTuple):
    """arrays: {name: whether that gradient is right}; cause: None for a right answer."""

    arrays: dict
    cause: str | None
    report: str = ""  # of the checker, printed
    seconds: float = 0.0

    @property
    def points(self):
        """The share of the arrays that are right, 0 … 1."""
        return sum(self.arrays.values()) / max(1, len(self.arrays))


def grade(path, name, *, seed=0, package=None, hidden=(), quiet=False):
    """Return the Grade of the answer in a file; see `process.run_answer`.

    package: a folder that `process.prepared` yields; without one, one is made
    """
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        package = package or stack.enter_context(prepared(name))
        left = run_answer(Path(path), name, seed, package, hidden, quiet)
    return judge(*left, name, seed)._replace(seconds=time.monotonic() - start)


def grade_class(answer, name, required=False):
    """Grade a class that a notebook defines: print its report, and whether it is right.

    answer:   a class with a backward of its own, as the exercise has it or derived from the
              engine's
    required: raise AssertionError if it is not right, and say nothing if it is, as the platforms
              of courses want it
    """
    with hidden_backward(name):
        path = getattr(answer, asked(name)).__code__.co_filename
        tried = try_answer(answer, name, 0, path)
    graded = judge(*tried, name, 0)
    if graded.cause or not required:
        show(graded, answer.__name__, name)
    if graded.cause and required:
        raise AssertionError(graded.cause)


def show(graded, who, name):
    """Print a Grade."""
    print(graded.report, end="\n\n" if graded.report else "")
    if graded.cause:
        print(f"Not right yet: {graded.cause}")
    elif not complete():
        print(f"Checked, not graded: this copy of minivit has no solution to compare {who} with.")
    else:
        what = "takes the steps" if asked(name) == "update" else "computes the gradients"
        print(f"Right: {who} {what} of {name}.")


def judge(arrays, said, name, seed):
    """The Grade, from what `try_answer` returned or its process left."""
    if not complete():  # there is nothing to compare with
        fault = said["problem"] or (said["cause"] if not said["ok"] else None)
        return Grade({}, fault, said.get("report", ""))
    right = expected(name, seed)
    verdicts = compared(arrays, right)
    same_forward = verdicts.pop("y", True)
    report = said.get("report", "")
    if said["problem"]:
        cause = said["problem"] if said.get("ok", True) else said["cause"] or said["problem"]
        return Grade(verdicts if same_forward else failed(name), cause, report)
    if not same_forward:
        return Grade(failed(name), "the forward computes other numbers than before; restore it")
    if not all(verdicts.values()):
        cause = said.get("cause") or _where_wrong(arrays, right, name, seed)
        return Grade(verdicts, cause, report)
    if not said.get("ok", True):  # right numbers, but at the cost of what others need
        cause = said["cause"] or "its gradients are wrong"
        return Grade(verdicts | {next(iter(verdicts)): False}, cause, report)
    return Grade(verdicts, None, report)


def failed(name):
    """The arrays of an answer of which nothing is right."""
    return {key: False for key in compared({}, expected(name, 0)) if key != "y"}


def _where_wrong(arrays, right, name, seed):
    """What to say of a wrong answer if the checker in its process found no cause."""
    wrong = next(key for key in right if key not in arrays or not equal(arrays[key], right[key]))
    number, _, array = wrong.partition(".")
    if name == "adam":
        return f"{array} is wrong"
    if number == "0":
        return "its gradients are wrong"
    trial = trials(name, seed)[int(number)]
    if wrong in arrays and arrays[wrong].dtype != trial.x.dtype:
        return (
            f"for {trial.x.dtype} numbers d{array} is {arrays[wrong].dtype}: an array made without "
            "a dtype (np.zeros, np.ones) or a NumPy number has made it so, and training would be "
            "slow"
        )
    if not trial.draws:
        return "right as in training, wrong as in evaluation, where forward gets no rng"
    return f"right for x of shape {trial.first_shape}, wrong for another of shape {trial.x.shape}"


@contextlib.contextmanager
def hidden_backward(name):
    """Let minivit's own backward of a layer say that it does not count."""
    kinds, method = {solved(name), *engines(name)}, asked(name)
    own = {kind: getattr(kind, method) for kind in kinds}

    def forbidden(kind):
        def says(*_):
            raise NotRight(SAYS.format(f"{kind.__name__}.{method}"))

        return says

    for kind in kinds:
        setattr(kind, method, forbidden(kind))
    try:
        yield
    finally:
        for kind in kinds:
            setattr(kind, method, own[kind])
