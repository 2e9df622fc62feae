"""The values that every name of the engine takes while a page's example runs."""

import ast
import contextlib
import inspect
import io
import sys
import textwrap
from collections import defaultdict

import numpy as np

NUMBERS = (np.ndarray, np.floating, float, int)


def run_example(code, filename):
    """Run the code of a page: its names, what it prints, and {name: [every value it took]}.

    Values are those of the example's own names, and of all names in the functions that it calls:
    those of a layer, but not of the layer's layers, whose x and y are others.
    """
    names, seen, printed = {}, defaultdict(list), io.StringIO()

    def follow_calls(frame, *_):
        by_the_page = frame.f_back and frame.f_back.f_code.co_filename == filename
        if by_the_page and frame.f_globals["__name__"].startswith("minivit."):
            return _follow_lines(frame, seen)

    before = sys.gettrace()
    sys.settrace(follow_calls)
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(code, filename, "exec"), names)
    finally:
        sys.settrace(before)
    for name, value in names.items():
        if isinstance(value, NUMBERS):
            seen[name] = [value]  # the page's dx is the one that the layer returned
    return names, printed.getvalue(), dict(seen)


def _follow_lines(frame, seen):
    """A tracer that, after each line, copies what the line assigned, also by `out=`."""
    assigned = _assigned_names(frame.f_code)
    last = None

    def follow(frame, *_):
        nonlocal last
        for name in assigned.get(last, ()):
            value = frame.f_locals.get(name)
            if isinstance(value, NUMBERS):
                seen[name].append(np.array(value))
        last = frame.f_lineno
        return follow

    return follow


def _assigned_names(code):
    """{line: the names that it gives a value}"""
    lines, start = inspect.getsourcelines(code)
    assigned = defaultdict(set)
    for node in ast.walk(ast.parse(textwrap.dedent("".join(lines)))):
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        elif isinstance(node, ast.keyword) and node.arg == "out":
            targets = [node.value]
        else:
            continue
        for target in targets:
            while isinstance(target, ast.Subscript):  # dlogits[rows, labels] -= 1
                target = target.value
            names = [name.id for name in ast.walk(target) if isinstance(name, ast.Name)]
            for line in range(node.lineno, node.end_lineno + 1):
                assigned[start + line - 1].update(names)
    return assigned
