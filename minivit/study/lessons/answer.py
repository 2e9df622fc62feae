"""An answer is run: it leaves the arrays of its trials, and what the checker says of it.

This is the main module of the answer's process (grading.py starts it). What comes from there is not
trusted: the file may change anything in that process.
"""

import ast
import contextlib
import json
import math
import runpy
import sys
import traceback
from pathlib import Path

import numpy as np
import safetensors.numpy
import threadpoolctl

from ...checks import optimizers
from ...checks.gradcheck import gradcheck
from . import confined
from .exercise import cases, example, solved
from .trials import fill

LARGEST = 10_000  # numbers of x that gradcheck looks at
COMPLEX = ("complex", "complex64", "complex128", "csingle", "cdouble", "clongdouble")


class NotRight(Exception):
    """Says what is wrong with an answer."""


def load_answer(path, name):
    """Return the answer's class from a file; NotRight if there is none.

    Errors: whatever the file raises when it is run.
    """
    wanted = solved(name).__name__
    answer = runpy.run_path(str(path)).get(wanted)
    if not isinstance(answer, type):
        raise NotRight(f"{Path(path).name} has no class {wanted}; keep the text of the exercise")
    return answer


def try_answer(answer, name, seed, path, keep=lambda arrays: None):
    """Return ({name: array}, said) of an answer's class, whose source is at `path`.

    keep: is given the arrays before the checker, which may take long, explains them
    said: {"problem": what stopped it, or ""}; see `explained` for the rest
    """
    arrays, said = {}, {"problem": ""}
    try:
        _expect_attributes(answer, name)
        fill(arrays, answer, name, seed)
    except (Exception, SystemExit) as error:
        said["problem"] = where(error, path)
    keep(arrays)
    try:
        return arrays, said | explained(answer, name, seed)
    except (Exception, SystemExit) as error:
        return arrays, {"problem": said["problem"] or where(error, path)}


def explained(answer, name, seed):
    """What the checker says: {"ok": bool, "report": its text, "cause": the first, in words}."""
    if name == "adam":
        with np.errstate(all="ignore"):  # steps of 0
            findings = optimizers.adam(answer, rule=None)
        wrong = [f"{each.name}: {each.observed}" for each in findings if not each.ok]
        return {"ok": findings.ok, "report": str(findings), "cause": (wrong or [""])[0]}
    reports = []
    for number, case in enumerate(cases(name)):
        if math.prod(case.shape) <= LARGEST:
            layer = answer(*case.make.args, **case.make.keywords)
            reports.append(gradcheck(layer, example(name, number, [seed, 5])[2], seed=number))
            if not reports[-1].ok:
                break
    report = next((each for each in reports if not each.ok), reports[0])
    causes = report.explanation() + report.problems
    return {"ok": report.ok, "report": str(report), "cause": (causes or [""])[0]}


def _expect_attributes(answer, name):
    if name == "adam":
        return
    case = cases(name)[0]
    arguments, own = (case.make.args, case.make.keywords), solved(name)
    known = vars(own(*arguments[0], **arguments[1])).keys() | vars(case.make()).keys()
    if not vars(answer(*arguments[0], **arguments[1])).keys() <= known:
        raise NotRight("__init__ sets other attributes than before; restore it")


def refuse_complex(text):
    """Raise NotRight for a file that calculates with complex numbers; SyntaxError if no Python.

    The complex step (numeric.py) gives exact gradients of any forward, and no exercise needs it.
    """
    for node in ast.walk(ast.parse(text)):
        number = isinstance(node, ast.Constant) and isinstance(node.value, complex)
        if number or getattr(node, "attr", getattr(node, "id", None)) in COMPLEX:
            raise NotRight(
                f"line {node.lineno} has complex numbers, which differentiate numerically; write "
                "the formula"
            )


def where(error, path):
    """The error, and the last line of the answer's file that led to it."""
    kind = type(error).__name__
    if isinstance(error, SyntaxError):
        return f"line {error.lineno} is not valid Python: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve() == Path(path).resolve()]
    place = f"line {own[-1].lineno}, `{own[-1].line}`: " if own else ""
    plain = isinstance(error, (NotImplementedError, NotRight, confined.Refused))
    return f"{place}{error if plain else f'{kind}: {error}'}"


def packed(arrays):
    """The arrays of floats among them as bytes, in the form of safetensors."""
    floats = {
        key: np.array(array, order="C")
        for key, array in arrays.items()
        if getattr(array, "dtype", None) in (np.float32, np.float64)
    }
    return safetensors.numpy.save(floats)


def main(job):
    """Run the answer that a job describes, a dict (see `process.run_answer`)."""
    path, name, seed = job["path"], job["name"], job["seed"]
    # BLAS is on one thread here, and its libraries may not be looked up any more
    threadpoolctl.threadpool_limits = lambda *_: contextlib.nullcontext()
    with open(job["result"], "wb") as result, open(job["said"], "w", encoding="utf-8") as said:
        confined.limit(job["seconds"])
        readable = [*filter(None, sys.path), sys.prefix, sys.base_prefix, *job["readable"]]
        try:
            refuse_complex(Path(path).read_bytes())
            confined.confine(readable, job["hidden"])
            answer = load_answer(path, name)
        except (Exception, SystemExit) as error:
            words = {"problem": where(error, path)}
        else:

            def keep(arrays):
                result.write(packed(arrays))
                result.flush()

            _, words = try_answer(answer, name, seed, path, keep)
        said.write(json.dumps(words))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
