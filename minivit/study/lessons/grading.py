"""Grading an answer to an exercise.

A process of its own runs the answer, as the file may hang, crash or change anything there. It
explains what is wrong, and leaves the arrays that the answer computes in a few trials. The verdict
is this process's: it compares these arrays with those of the engine's own layer. A class of a
notebook is tried in the notebook's process.
"""

import contextlib
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np

from ...checks.gradcheck import gradcheck
from ...checks.inside import backward_of, forward_of
from ...checks.suite import CASES
from ...training.workers import ctrl_c_blocked
from .exercise import example

SECONDS = 60  # until an answer that is still running is stopped


class NotRight(Exception):
    """Says what is wrong with an answer."""


def grade(path, name):
    """Grade the answer in a file; return the printed report of its gradients and the problem.

    The report is "" if the answer cannot be run; the problem is None if the answer is right.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.npz")
        command = [sys.executable, "-P", "-m", __name__, str(path), name, str(result)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        with ctrl_c_blocked():
            process = subprocess.Popen(command, env=environment)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            return "", f"{path} was still running after {SECONDS} s; does a loop never end?"
        finally:
            process.kill()  # after Ctrl-C too, which it does not get
            process.wait()
        if not result.exists():
            return "", f"{path} ended Python before it was graded"
        with np.load(result) as arrays:
            return judge(dict(arrays), name)


def grade_class(answer, name):
    """Grade a class that a notebook defines: print its report, and whether it is right.

    answer: a class derived from the engine's layer, with a backward of its own
    """
    with hidden_backward(name):
        arrays = try_answer(answer, name, answer.backward.__code__.co_filename)
    report, problem = judge(arrays, name)
    print(report, end="\n\n" if report else "")
    if problem:
        print(f"Not right yet: {problem}")
    else:
        print(f"Right: {answer.__name__} computes the gradients of {name}.")


def judge(arrays, name):
    """The report and the problem, from the arrays that `run_answer` returned."""
    reports, problem = arrays["reports"].tolist(), str(arrays["problem"])
    if problem:
        return "", problem
    layer, _, first = example(name)
    for number, (params, x) in enumerate(trials(name)):
        y, dx, grads = run(layer, params, x)
        if not _equal(arrays[f"y{number}"], y):
            return "", "the forward computes other numbers than before; restore it"
        right = f"dx{number}" in arrays and _equal(arrays[f"dx{number}"], dx)
        if not (right and _equal(arrays[f"grads{number}"], grads)):
            here = f"right for x of shape {first.shape}, wrong for another of shape {x.shape}"
            return reports[number], here if number else "its gradients are wrong"
        if (dtype := arrays[f"dx{number}"].dtype) != x.dtype:
            return reports[number], (
                f"for {x.dtype} numbers dx is {dtype}: an array made without a dtype (np.zeros, "
                "np.ones) or a NumPy number has made it so, and training would be slow"
            )
    return reports[0], None


def run_answer(path, name):
    """Run the answer in a file in this process; return {name: array}, as `try_answer` does."""
    try:
        answer = load_answer(path, name)
    except (Exception, SystemExit) as error:
        return {"reports": np.array([], str), "problem": np.array(_where(error, path))}
    return try_answer(answer, name, path)


def try_answer(answer, name, path):
    """Try the answer's class; return {name: array}: reports, a problem, and the trials.

    path: where the answer is written
    """
    arrays, reports, problem = {}, [], ""
    make = CASES[name].make
    try:
        layer = answer(*make.args, **make.keywords)
        if vars(layer).keys() != vars(make()).keys():
            raise NotRight("__init__ sets other attributes than before; restore it")
        for number, (params, x) in enumerate(trials(name)):
            arrays[f"y{number}"], _ = forward_of(layer, 0)(params, x)
            if x.dtype == np.float64:
                report = gradcheck(layer, x, seed=number)
            reports.append(str(report))
            if not report.ok:
                break
            _, arrays[f"dx{number}"], arrays[f"grads{number}"] = run(layer, params, x)
    except (Exception, SystemExit) as error:
        problem = _where(error, path)
    return {"reports": np.array(reports, str), "problem": np.array(problem), **arrays}


def trials(name):
    """Yield (params, x): the example, other numbers, more images, more tokens, and float32."""
    layer, params, x = example(name)
    yield params, x
    B, second, *rest = x.shape
    for seed, shape in enumerate([x.shape, (B + 2, second, *rest), (B, second + 3, *rest)], 1):
        other = np.random.default_rng(seed).standard_normal(shape)
        with contextlib.suppress(ValueError):  # some layers take one number of tokens only
            forward_of(layer, 0)(params, other)
            yield params, other
    yield params.astype(np.float32), x.astype(np.float32)


def run(layer, params, x):
    """y, dx and the gradients (a flat array), which are added to random numbers."""
    rng = np.random.default_rng(0)
    y, cache = forward_of(layer, 0)(params, x)
    dy = rng.standard_normal(y.shape).astype(y.dtype)
    grads = params.zeros_like()
    grads.flat[...] = rng.standard_normal(grads.flat.shape)
    dx = backward_of(layer)(params, dy, cache, grads)
    return y, dx, grads.flat


def _equal(answer, expected):
    if answer.shape != expected.shape:
        return False
    digits = 1e-9 if expected.dtype == np.float64 else 1e-4
    return np.allclose(answer, expected, digits, digits * np.abs(expected).max(initial=0))


def load_answer(path, name):
    """Return the answer's class from a file; NotRight if there is none.

    Errors: whatever the file raises when it is run.
    """
    wanted = CASES[name].make.func.__name__
    answer = runpy.run_path(str(path)).get(wanted)
    if not isinstance(answer, type):
        raise NotRight(f"{path} has no class {wanted}; keep the text of the exercise")
    return answer


def _where(error, path):
    """The error, and the last line of the answer's file that led to it."""
    kind = type(error).__name__
    if isinstance(error, SyntaxError):
        return f"line {error.lineno} is not valid Python: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve() == Path(path).resolve()]
    place = f"line {own[-1].lineno}, `{own[-1].line}`: " if own else ""
    plain = isinstance(error, (NotImplementedError, NotRight))
    return f"{place}{error if plain else f'{kind}: {error}'}"


@contextlib.contextmanager
def hidden_backward(name):
    """Let the engine's own backward of a layer say that it does not count."""
    layer = CASES[name].make.func
    backward = layer.backward

    def forbidden(*_):
        raise NotRight(f"this calls minivit's own {layer.__name__}.backward; write yours")

    layer.backward = forbidden
    try:
        yield
    finally:
        layer.backward = backward


def main(path, name, result):
    with hidden_backward(name):
        arrays = run_answer(path, name)
    np.savez(result, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
