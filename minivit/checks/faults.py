"""A catalogue of bugs that people really make, each of which can be switched on in the real code.

A fault is a change of a few lines, in the form of a diff (faults.toml). `planted(fault)` gives the
functions that it changes new code, for as long as a `with` lasts: every layer, everywhere, then has
the bug.
"""

import contextlib
import functools
import inspect
import linecache
import pkgutil
import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fault:
    """A bug, and what a check must say about it.

    change: {"layers.softmax.Softmax.backward": diff}, the lines to remove (-) and to insert (+)
    """

    name: str
    bug: str  # its description, in a sentence
    source: str  # where it happened in public, or "constructed"
    check: str  # the check that finds it, by its name in `suite.CHECKS`
    says: str  # what that check's report must contain: the cause
    change: dict

    def __str__(self):
        changes = [f"{place}\n{diff.rstrip()}" for place, diff in self.change.items()]
        return "\n".join([f"{self.name}: {self.bug} ({self.source})", *changes])


@functools.cache
def faults():
    """Return the catalogue, {name: Fault}."""
    text = Path(__file__).with_name("faults.toml").read_text(encoding="utf-8")
    return {name: Fault(name, **entry) for name, entry in tomllib.loads(text).items()}


@contextlib.contextmanager
def planted(fault):
    """While this lasts, the engine has the fault. Not for use beside other threads.

    Errors: ValueError if the lines to remove are not in the source, or are in it twice.
    """
    changes = [(function_at(place), diff) for place, diff in fault.change.items()]
    codes = [(f, f.__code__, _code_after(f, diff, fault.name)) for f, diff in changes]
    try:
        for function, _, code in codes:
            function.__code__ = code
        yield
    finally:
        for function, code, _ in codes:
            function.__code__ = code


def function_at(place):
    """The function of a dotted name below minivit, such as "layers.softmax.Softmax.backward"."""
    return pkgutil.resolve_name(f"minivit.{place}")


def _code_after(function, diff, name):
    """The code of the function after the diff."""
    source = changed(textwrap.dedent(inspect.getsource(function)), diff, name)
    names = function.__code__.co_freevars  # the same closure as before: `super()` needs one
    body = textwrap.indent(source, "    ")
    source = f"def closure({', '.join(names)}):\n{body}\n    return {function.__name__}"
    filename = f"<{function.__qualname__} with {name}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    namespace = dict(function.__globals__)
    exec(compile(source, filename, "exec"), namespace)
    return namespace["closure"](*names).__code__


def changed(source, diff, name):
    """A function's source after the diff of a fault; empty lines separate its hunks.

    Errors: ValueError if the lines to remove are not in the source, or are in it twice.
    """
    for hunk in diff.strip("\n").split("\n\n"):
        source = _replaced(source, hunk, name)
    return source


def _replaced(source, hunk, name):
    lines = source.split("\n")
    out = [line[1:].strip() for line in hunk.split("\n") if line.startswith("-")]
    into = "\n".join(line[1:] for line in hunk.split("\n") if line.startswith("+"))
    stripped = [line.partition("  #")[0].strip() for line in lines]
    places = [i for i in range(len(lines)) if stripped[i : i + len(out)] == out]
    if len(places) != 1 or not out:
        raise ValueError(
            f"fault {name}: {out} occurs {len(places)} times in the source, expected once"
        )
    (start,) = places
    indent = lines[start][: len(lines[start]) - len(lines[start].lstrip())]
    lines[start : start + len(out)] = textwrap.indent(textwrap.dedent(into), indent).split("\n")
    return "\n".join(lines)
