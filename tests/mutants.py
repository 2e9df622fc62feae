"""Break the engine in one small place at a time, and see whether the tests notice.

    python -m tests.mutants --count 320 --report mutants.txt
    python -m tests.mutants --gradcheck-alone --count 1000 --report backward.txt

A mutant is the source with one operator, axis, transposition, sign, slice or constant changed. Each
is written into a copy of the repository, where the tests run until the first that fails; or, for
those inside a `backward`, gradcheck alone. Hundreds take an hour, so it is no part of CI.
"""

import argparse
import ast
import contextlib
import itertools
import multiprocessing
import os
import random
import re
import shutil
import sys
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2  # noqa: F401  loaded once, for all the processes that are forked
import matplotlib.figure  # noqa: F401
import numpy  # noqa: F401
import pytest
import safetensors.numpy  # noqa: F401
import threadpoolctl  # noqa: F401
from tqdm import tqdm

with contextlib.suppress(ImportError):
    import torch  # noqa: F401

ROOT = Path(__file__).parent.parent
ROOMS = ["layers", "losses", "models", "optim"]
FILES = [
    path.relative_to(ROOT)
    for room in ROOMS
    for path in sorted((ROOT / "minivit" / room).glob("*.py"))
]
FILES.append(Path("minivit", "training", "step.py"))
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
# The tests that are most likely to notice come first. Not asked are those that quote the source, as
# they would notice any change, and those of the benchmark, which start processes of their own.
NEAR = [*ROOMS, "training"]
QUIET = "ignore::pytest.PytestAssertRewriteWarning"
IGNORED = ["--ignore=tests/docs", "--ignore=tests/demos/test_benchmark.py"]
OPTIONS = ["-xqq", "-p", "no:cacheprovider", "-W", QUIET, *IGNORED]


@dataclass
class Mutant:
    path: Path
    function: str
    line: int
    kind: str
    before: str
    after: str
    source: str
    outcome: str = ""  # "killed", "SURVIVED" or "timeout"

    def __str__(self):
        return (
            f"{self.outcome:8} {self.path}:{self.line} {self.function} ({self.kind})\n"
            f"    - {self.before}\n    + {self.after}"
        )


def changes(parent):
    """Yield (kind, container, key, new value) of all small changes to one node's children."""
    for field, value in ast.iter_fields(parent):
        kind_of = type(value)
        if kind_of in OPERATORS:
            yield "operator", parent, field, OPERATORS[kind_of]()
        if field == "ops":
            for place, operator in enumerate(value):
                if type(operator) in OPERATORS:
                    yield "operator", value, place, OPERATORS[type(operator)]()
        children = enumerate(value) if isinstance(value, list) else [(field, value)]
        container = value if isinstance(value, list) else parent
        for key, child in children:
            if isinstance(child, ast.Attribute) and child.attr in ("T", "mT"):
                yield "transposition", container, key, child.value
            elif isinstance(child, ast.UnaryOp) and isinstance(child.op, ast.USub):
                yield "sign", container, key, child.operand
            elif isinstance(child, ast.Constant) and not is_of_no_account(parent, child):
                yield from (
                    (kind_of_constant(parent), container, key, ast.Constant(new))
                    for new in other_constants(child.value)
                )
    if isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.MatMult):
        yield "transposition", parent, "left", ast.Attribute(parent.left, "T", ast.Load())
    if isinstance(parent, (ast.Assign, ast.AugAssign)) and may_be_a_number(parent.value):
        yield "sign", parent, "value", ast.UnaryOp(ast.USub(), parent.value)
    if isinstance(parent, ast.Call) and getattr(parent.func, "attr", "") == "transpose":
        for place in range(len(parent.args) - 1):
            swapped = list(parent.args)
            swapped[place : place + 2] = swapped[place : place + 2][::-1]
            yield "axis", parent, "args", swapped
    if isinstance(parent, ast.Slice):
        for bound in ("lower", "upper"):
            if getattr(parent, bound):
                yield "slice", parent, bound, None


def is_of_no_account(parent, child):
    """Whether no test could notice a change inside: zip's `strict`, a safeguard, and reshape's −1,
    for which any negative number would do.
    """
    if isinstance(parent, ast.keyword):
        return parent.arg == "strict"
    reshapes = isinstance(parent, ast.Call) and getattr(parent.func, "attr", "") == "reshape"
    return reshapes and isinstance(child, ast.UnaryOp)


def may_be_a_number(value):
    """Whether a minus before it could pass unseen: not before a list, a text or a new object."""
    if re.search(r"\b(empty|zeros|zeros_like)\(", ast.unparse(value)):
        return False  # minus nothing is nothing
    if isinstance(value, ast.Call):
        name = getattr(value.func, "attr", getattr(value.func, "id", ""))
        return not name[:1].isupper()
    return isinstance(value, (ast.BinOp, ast.Name, ast.Attribute, ast.Subscript, ast.Constant))


def kind_of_constant(parent):
    if isinstance(parent, ast.keyword) and parent.arg == "axis":
        return "axis"
    return "slice" if isinstance(parent, (ast.Subscript, ast.Slice)) else "constant"


def other_constants(value):
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    return [2 * value] if isinstance(value, float) else []


def mutants_of(path):
    """Yield every mutant of a file."""
    text = (ROOT / path).read_text(encoding="utf-8")
    tree, lines = ast.parse(text), text.splitlines(keepends=True)
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for statement in statements_of(function):
            before = ast.unparse(statement)
            start, end = statement.lineno - 1, statement.end_lineno
            for node in expressions_of(statement):
                for kind, container, key, new in changes(node):
                    old = replace(container, key, new)
                    after = ast.unparse(ast.fix_missing_locations(statement))
                    replace(container, key, old)
                    changed = textwrap.indent(after, " " * statement.col_offset) + "\n"
                    source = "".join([*lines[:start], changed, *lines[end:]])
                    old, new = differing(before, after)
                    if old != new:
                        yield Mutant(path, function.name, start + 1, kind, old, new, source)


def differing(before, after):
    """The first line that differs, in both."""
    pairs = zip(before.splitlines(), after.splitlines(), strict=False)
    return next((pair for pair in pairs if pair[0] != pair[1]), ("", ""))


def replace(container, key, new):
    """Put `new` in the place and return what was there."""
    if isinstance(container, list):
        old, container[key] = container[key], new
    else:
        old = getattr(container, key)
        setattr(container, key, new)
    return old


def statements_of(function):
    """The statements of a function, but for its docstring and what it refuses."""
    waiting = list(function.body)
    while waiting:
        statement = waiting.pop(0)
        if isinstance(statement, (ast.Raise, ast.FunctionDef)):
            continue
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        yield statement
        for field in ("body", "orelse", "finalbody", "handlers"):
            waiting += getattr(statement, field, [])


def expressions_of(statement):
    """The nodes of one statement, without the statements inside it and without texts."""
    waiting = [statement]
    while waiting:
        node = waiting.pop(0)
        yield node
        waiting += [
            child
            for child in ast.iter_child_nodes(node)
            if not isinstance(child, (ast.stmt, ast.JoinedStr, ast.ExceptHandler))
            and not is_of_no_account(node, child)
        ]


def all_tests():
    near = [f"tests/{name}" for name in NEAR]
    return pytest.main([*OPTIONS, *near]) or pytest.main([*OPTIONS, "tests"])


def gradcheck_alone():
    from minivit.checks.cases import CASES
    from minivit.checks.suite import check

    return not all(check(name).ok for name in CASES)


def judge_of(options):
    return gradcheck_alone if options.gradcheck_alone else all_tests


def judged(mutant, folder, judge):
    """Run the tests, or gradcheck, on the mutant in a copy of the repository."""
    target = folder / mutant.path
    original = target.read_text(encoding="utf-8")
    target.write_text(mutant.source, encoding="utf-8")
    try:
        mutant.outcome = outcome(judge, folder, seconds=600)
    finally:
        target.write_text(original, encoding="utf-8")
    return mutant


def outcome(tests, folder, seconds):
    """Run `tests` in a process forked from this one, which has all libraries in memory."""

    def run():
        os.chdir(folder)
        sys.path[:] = [str(folder), *(path for path in sys.path if path not in ("", str(ROOT)))]
        for name in list(sys.modules):
            if name.partition(".")[0] in ("minivit", "demos", "tests"):
                del sys.modules[name]
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            os._exit(int(tests()))

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        return "timeout"
    return "killed" if process.exitcode else "SURVIVED"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=320, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="copies that run side by side")
    alone_help = "ask gradcheck, and no test, of mutants inside a backward"
    parser.add_argument("--gradcheck-alone", action="store_true", help=alone_help)
    parser.add_argument("--report", type=Path, required=True, help="text file with every mutant")
    options = parser.parse_args()
    every = list(itertools.chain.from_iterable(map(mutants_of, FILES)))
    if options.gradcheck_alone:
        every = [mutant for mutant in every if mutant.function == "backward"]
    drawn = random.Random(options.seed).sample(every, min(options.count, len(every)))
    print(f"{len(every)} mutants, {len(drawn)} drawn")
    with tempfile.TemporaryDirectory() as top, ThreadPoolExecutor(options.jobs) as pool:
        folders = [Path(top, str(job)) for job in range(options.jobs)]
        ignored = shutil.ignore_patterns(".venv", ".git", "runs", "__pycache__", "*.egg-info")
        for folder in folders:
            shutil.copytree(ROOT, folder, ignore=ignored)
            as_it_is = outcome(judge_of(options), folder, 900)
            assert as_it_is == "SURVIVED", "they complain of the engine as it is"
        free = list(folders)

        def run(mutant):
            folder = free.pop()
            try:
                return judged(mutant, folder, judge_of(options))
            finally:
                free.append(folder)

        with options.report.open("w", encoding="utf-8") as report:
            for mutant in tqdm(pool.map(run, drawn), total=len(drawn)):
                print(mutant, file=report, flush=True)
    others = [mutant for mutant in drawn if mutant.outcome != "killed"]
    print(f"{len(drawn) - len(others)} of {len(drawn)} were killed; the others:")
    print("\n".join(map(str, others)))


if __name__ == "__main__":
    main()
