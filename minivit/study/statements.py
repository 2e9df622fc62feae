"""What a statement of the source does to the names of its function, read from its syntax tree."""

import ast
import functools
import linecache
from typing import NamedTuple


class Statement(NamedTuple):
    """A simple statement, or the head of a compound one such as `def …:` and `for …:`.

    bound:   names that stand for something else after it          scores = …    for x in …
    written: names of arrays that it changes in place              scores *= …   dx[0] = …   out=mix
    spent:   names whose memory it hands to the one that it binds  numer = exp(shifted, out=shifted)
    updates: whether it is `scores *= …` or the like, where what was there before still counts
    grads:   keys of the gradients that it adds to                 grads["w"] += … is [("w",)]
    """

    line: int
    source: str
    bound: frozenset
    written: frozenset
    spent: frozenset
    updates: bool
    grads: tuple


def statement_at(file, line):
    """The innermost Statement to which a line of a file belongs.

    Errors: ValueError where the source cannot be read, as for a class typed at Python's prompt.
    """
    statements = _statements(file)
    if statements.get(line, True) is None:
        raise ValueError(
            f"trace: line {line} of {file} has several statements; give each a line of its own"
        )
    if line not in statements:
        raise ValueError(
            f"trace: the source of {file}, line {line}, cannot be read; keep layers in a file"
        )
    return statements[line]


@functools.cache
def _statements(file):
    lines = linecache.getlines(file)
    found, simple = {}, set()
    for node in ast.walk(ast.parse("".join(lines))):  # from the outside in
        if isinstance(node, ast.stmt):
            first = min(part.lineno for part in [node, *getattr(node, "decorator_list", [])])
            body = getattr(node, "body", None)
            last = max(first, body[0].lineno - 1) if body else node.end_lineno
            source = "".join(lines[first - 1 : last]).strip()
            statement = _read(node, source)
            if not body and first in simple:
                statement = None
            elif not body:
                simple.add(first)
            found |= dict.fromkeys(range(first, node.end_lineno + 1), statement)
    return found


def _read(node, source):
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    targets = [part for target in targets for part in getattr(target, "elts", [target]) if part]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    holders = [_holder(target) for target in targets if isinstance(target, ast.Subscript)]
    calls = [] if hasattr(node, "body") else ast.walk(node)
    keywords = [keyword for call in calls for keyword in getattr(call, "keywords", [])]
    out = {word.value.id for word in keywords if word.arg == "out" and hasattr(word.value, "id")}
    written = {name for name, _ in holders}
    bound, changed = (set(), names) if isinstance(node, ast.AugAssign) else (names, set())
    return Statement(
        line=node.lineno,
        source=source,
        bound=frozenset(bound),
        written=frozenset(written | changed | (set() if bound else out)),
        spent=frozenset(out - bound if bound else ()),
        updates=isinstance(node, ast.AugAssign),
        grads=tuple(keys for name, keys in holders if name == "grads"),
    )


def _holder(target):
    """The name before the brackets, and the constants in them: "grads" and ("ln", "w")."""
    keys = []
    while isinstance(target, ast.Subscript):
        keys.insert(0, getattr(target.slice, "value", None))
        target = target.value
    return getattr(target, "id", None), tuple(keys)
