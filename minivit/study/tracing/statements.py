"""What a statement of the source does to the names of its function, read from its syntax tree."""

import ast
import functools
import linecache
from typing import NamedTuple


class Statement(NamedTuple):
    """A simple statement, or the head of a compound one such as `def …:` or `for …:`."""

    line: int
    source: str
    bound: frozenset  # names that refer to another object after it: scores = …, for x in …
    written: frozenset  # names of arrays that it changes in place: scores *= …, dx[0] = …, out=mix
    spent: frozenset  # names whose memory the bound name takes: numer = exp(shifted, out=shifted)
    updates: bool  # whether it is an augmented assignment, which reads the old value: scores *= …
    grads: tuple  # keys of the gradients that it adds to: (("ln", "w"),) for grads["ln"]["w"] += …


def statement_at(file, line):
    """Return the innermost Statement that covers a line of a file.

    Errors: ValueError if the source cannot be read, as for a class typed at Python's prompt, or if
    several statements share the line.
    """
    statements = _statements(file)
    if line not in statements:
        raise ValueError(
            f"trace: the source of {file}, line {line}, cannot be read; keep layers in a file"
        )
    if statements[line] is None:
        raise ValueError(
            f"trace: line {line} of {file} has several statements; give each a line of its own"
        )
    return statements[line]


@functools.cache
def _statements(file):
    """{line: its innermost Statement, or None if simple statements share it}."""
    lines = linecache.getlines(file)
    statements, simple = {}, set()
    for node in ast.walk(ast.parse("".join(lines))):  # from the outside in
        if isinstance(node, ast.stmt):
            first = min(part.lineno for part in [node, *getattr(node, "decorator_list", [])])
            body = getattr(node, "body", None)
            last = max(first, body[0].lineno - 1) if body else node.end_lineno
            statement = _read(node, "".join(lines[first - 1 : last]).strip())
            if not body and first in simple:
                statement = None
            elif not body:
                simple.add(first)
            statements |= dict.fromkeys(range(first, node.end_lineno + 1), statement)
    return statements


def _read(node, source):
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    targets = [part for target in targets for part in getattr(target, "elts", [target]) if part]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    subscripts = [_subscript(target) for target in targets if isinstance(target, ast.Subscript)]
    calls = [] if hasattr(node, "body") else ast.walk(node)
    keywords = [keyword for call in calls for keyword in getattr(call, "keywords", [])]
    out = {word.value.id for word in keywords if word.arg == "out" and hasattr(word.value, "id")}
    written = {name for name, _ in subscripts}
    bound, changed = (set(), names) if isinstance(node, ast.AugAssign) else (names, set())
    return Statement(
        line=node.lineno,
        source=source,
        bound=frozenset(bound),
        written=frozenset(written | changed | (set() if bound else out)),
        spent=frozenset(out - bound if bound else ()),
        updates=isinstance(node, ast.AugAssign),
        grads=tuple(keys for name, keys in subscripts if name == "grads" and None not in keys),
    )


def _subscript(target):
    """The name before the brackets and the constants in them: "grads" and ("ln", "w")."""
    keys = []
    while isinstance(target, ast.Subscript):
        keys.insert(0, target.slice.value if isinstance(target.slice, ast.Constant) else None)
        target = target.value
    return getattr(target, "id", None), tuple(keys)
