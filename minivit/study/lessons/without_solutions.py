"""A copy of the package without the solutions of exercises: for an exam, and to grade answers in.

An answer runs in a copy that lacks the solution of its exercise. So whatever it imports or reads of
minivit, it does not find it there.
"""

import ast
import inspect
import shutil
from pathlib import Path

from ...layers import (
    CrossAttention,
    MaskedAttention,
    PostNormDecoderBlock,
    PreNormDecoderBlock,
)
from ...optim import Adam
from .exercise import PLAIN, asked, cases, emptied, solved

PACKAGE = Path(__file__).parents[2]
MARK = Path(__file__).with_name("without_solutions.txt")  # in a copy: which version it is of
SHOWING = ("bug_hunt.py", "walk.py", "*.js")  # of study/: they show the formulas
EMPTY = ("checks/faults.toml", "study/lessons/hints.toml")  # bugs beside the right lines, and hints
ALIKE = {  # layers whose backward repeats lines of a solution
    "attention": {MaskedAttention, CrossAttention}, "block": {PreNormDecoderBlock},
    "post_norm": {PostNormDecoderBlock},
}  # fmt: skip
FUNCTIONS = {  # solutions in functions; the statements from the one that sets a name, or all
    "cross_entropy": ("losses/cross_entropy.py", "cross_entropy", "dlogits"),
    "patches": ("layers/patches.py", "join_patches", None),
    "adam": ("checks/optimizers.py", "adam_rule", None),
}


def complete():
    """Whether this package has its solutions, and so can grade."""
    return not MARK.exists()


def copy_package(folder, names, says, data=False):
    """Copy minivit to folder/minivit without the solutions of the exercises `names`.

    says: what the methods raise instead; {} stands for the class and the method
    data: whether MNIST goes with it
    """
    target = Path(folder, PACKAGE.name)
    left_out = ("__pycache__", "demos", *SHOWING, *(() if data else ("mnist",)))
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns(*left_out))
    for name in EMPTY:
        (target / name).write_text("", "utf-8")
    for file, kind, method in sorted(set(_methods(names))):
        body = [f'raise NotImplementedError("{says.format(f"{kind}.{method}")}")']
        _change(target / file, emptied, kind, method, body)
    for file, function, start in (FUNCTIONS[name] for name in names if name in FUNCTIONS):
        _change(target / file, _cut, function, start, says.format(function))


def _methods(names):
    """The (file, class, method) of the solutions: the engine's, and all those in plain NumPy."""
    kinds = [(kind, asked(name)) for name, kind in PLAIN.items()]
    for name in names:
        kinds += [(kind, asked(name)) for kind in (solved(name), *engines(name))]
    for kind, method in kinds:
        yield Path(inspect.getfile(kind)).relative_to(PACKAGE).as_posix(), kind.__name__, method


def engines(name):
    """The engine's own classes that solve an exercise, or would give the solution away."""
    if name == "adam":
        return {Adam}
    return {case.make.func for case in cases(name)} | ALIKE.get(name, set())


def _change(path, change, *arguments):
    path.write_text(change(path.read_text("utf-8"), *arguments), "utf-8")


def _cut(source, function, start, says):
    """A module's source without the statements of a function from the one that sets `start`."""
    lines = source.splitlines()
    (node,) = [node for node in ast.parse(source).body if getattr(node, "name", "") == function]
    sets = [[ast.unparse(each) for each in getattr(item, "targets", [])] for item in node.body]
    first = node.body[sets.index([start]) if start else 0]
    raised = f'    raise NotImplementedError("{says}")'
    return "\n".join([*lines[: first.lineno - 1], raised, *lines[node.end_lineno :]]) + "\n"
