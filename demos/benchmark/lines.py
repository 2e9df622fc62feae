"""What each source line of a training step costs, and what kind of work it does.

Python calls a trace function before every line of a function that it runs (`sys.settrace`), so the
time from one call to the next is that of a line. The engine need not know that anybody watches.
"""

import ast
import functools
import math
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minivit.study.tracing.records import layers_of
from minivit.study.tracing.statements import statement_at

KINDS = {  # from the first that fits a line: the functions and methods whose names give it away
    "products": {"matmul"},
    "reductions": {"sum", "mean", "max", "min", "argmax"},
    "element-wise": {"exp", "log", "tanh", "sqrt", "multiply", "maximum", "minimum", "astype"},
    "copies, views": {"reshape", "transpose", "T", "mT", "copy", "repeat", "stack", "concatenate"},
    "allocation": {"empty", "zeros", "ones", "arange"},
    "Python": set(),
}
ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div)  # of arrays; // and % are of sizes


class Line(NamedTuple):
    """A line of a file, as it runs in one layer."""

    layer: str
    file: str
    number: int


class LineClock:
    """Adds up the seconds of each Line in a folder's files, while `run` runs.

    A line's seconds are its own: what it calls in these files counts there, all else here.

    model: gives the layers their names; what runs in none of them has the name of its file
    meet:  called with each Line and its frame before the line runs
    """

    def __init__(self, folder, model=None, meet=None):
        self.folder, self.meet = str(folder), meet
        found = layers_of(model) if model else []
        self.names = {id(part): path or "model" for path, part in found}
        self.layers = set(self.names.values())

    def run(self, function, *arguments):
        """Run it; return {Line: [seconds, how often the clock was stopped in it]}."""
        self.spent, self.line, self.callers = defaultdict(lambda: [0.0, 0]), None, []
        before = sys.gettrace()
        self.since = time.perf_counter()
        sys.settrace(self._enter)
        try:
            function(*arguments)
        finally:
            sys.settrace(before)
        self.spent.pop(None, None)  # before the first of these lines, and after the last
        return dict(self.spent)

    def _enter(self, frame, event, argument):
        """Called by Python for every function that is called; returns what follows its lines."""
        self._stop()
        code = frame.f_code
        if not code.co_filename.startswith(self.folder):
            self.since = time.perf_counter()
            return None
        layer = self._layer_of(frame) or Path(code.co_filename).stem
        self.callers.append(self.line)
        self.line = Line(layer, code.co_filename, code.co_firstlineno)
        self.since = time.perf_counter()
        return self._follow

    def _follow(self, frame, event, argument):
        """Called by Python before each line of such a function, and when it returns."""
        self._stop()
        if event == "line":
            self.line = self.line._replace(number=frame.f_lineno)
            if self.meet:
                self.meet(self.line, frame)
        elif event == "return":
            self.line = self.callers.pop()
        self.since = time.perf_counter()
        return self._follow

    def _layer_of(self, frame):
        """The name of the layer whose method it is, or which calls this helper."""
        if frame.f_code.co_varnames[:1] == ("self",):
            own = self.names.get(id(frame.f_locals["self"]))
            if own:
                return own
        inside = self.line and self.line.layer in self.layers
        return self.line.layer if inside else None

    def _stop(self):
        spent = self.spent[self.line]
        spent[0] += time.perf_counter() - self.since
        spent[1] += 1


@functools.cache
def kind_of(file, number):
    """The kind of work, of KINDS, that the statement on a line of a file does."""
    nodes = _nodes(file, number)
    called = [node.func for node in nodes if isinstance(node, ast.Call)]
    names = {getattr(function, "attr", getattr(function, "id", None)) for function in called}
    names |= {"T", "mT"} & {getattr(node, "attr", None) for node in nodes}
    signs = [node.op for node in nodes if isinstance(node, (ast.BinOp, ast.AugAssign))]
    calculates = any(isinstance(sign, ARITHMETIC) for sign in signs)
    for kind, telling in KINDS.items():
        if (
            names & telling
            or (kind == "products" and any(isinstance(sign, ast.MatMult) for sign in signs))
            or (kind == "element-wise" and calculates)
            or (kind == "copies, views" and any(map(_fills, nodes)))
        ):
            return kind
    return "Python"


def _nodes(file, number):
    """The syntax tree of a simple statement; nothing for the head of a compound one."""
    try:
        return list(ast.walk(ast.parse(statement_at(file, number).source)))
    except SyntaxError:
        return []


def _fills(node):
    """Whether it is an assignment into a part of an array: dx[:, 0] = dy, flat[...] = 0."""
    parts = [getattr(target, "slice", None) for target in getattr(node, "targets", [])]
    return any(
        isinstance(part, (ast.Slice, ast.Tuple)) or getattr(part, "value", None) is ...
        for part in parts
    )


def factors_of(line, frame):
    """The shapes of the two factors of a matrix product, just before its line runs; else None.

    A matrix times a vector is none: it sums over a short axis.
    """
    for node in _nodes(line.file, line.number):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            sides = node.left, node.right
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "matmul":
            sides = node.args
        else:
            continue
        shapes = tuple(np.shape(_value(side, frame)) for side in sides)
        return shapes if min(map(len, shapes)) > 1 else None
    return None


def _value(node, frame):
    code = compile(ast.Expression(node), "<a factor>", "eval")
    return eval(code, frame.f_globals, frame.f_locals)


def operations_of(shapes):
    """Floating-point operations of a product of two (stacks of) matrices."""
    left, right = shapes
    return 2 * math.prod(left) * right[-1]
