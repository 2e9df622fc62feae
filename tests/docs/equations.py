"""Evaluate equations written as on a blackboard, so that no number in them can be wrong.

    dw = xᵀ dy = [ 1  0 ] [ 2  1 ] = [ 2  1 ]        # rows of a matrix, one below the other
                 [ 3  1 ] [ 0  1 ]   [ 6  4 ]
    p[0] = exp(1) / (exp(1) + 1) ≈ 0.731       q = ½

Side by side is the product of matrices, · the product entry by entry. Σ and mean run over the last
axis, Σᵣ over the rows. `=` holds up to float64's rounding. `≈` holds to the digits shown: a decimal
stands for all numbers that round to it. `≠` needs one entry that differs. Where a side repeats the
one before with numbers for its names, `y[0] · dy[0] = 0.5 · 4`, each number must equal its name.
"""

import functools
import re
from typing import NamedTuple

import numpy as np


class Prefix:
    """A function applied by `**`, which binds in Python as tightly as √ and log do on paper."""

    def __init__(self, function):
        self.function = function

    def __pow__(self, argument):
        return self.function(argument)


def over_last(reduce):
    return lambda x: reduce(x, axis=-1, keepdims=np.ndim(x) > 1)


FUNCTIONS = {
    "√": Prefix(np.sqrt),
    "exp": Prefix(np.exp),
    "cos": Prefix(np.cos),
    "sin": Prefix(np.sin),
    "log": Prefix(np.log),
    "tanh": Prefix(np.tanh),
    "softmax": Prefix(lambda x: np.exp(x) / over_last(np.sum)(np.exp(x))),
    "max": Prefix(over_last(np.max)),
    "mean": Prefix(over_last(np.mean)),
    "Σ": Prefix(over_last(np.sum)),
    "Σᵣ": Prefix(lambda x: np.sum(x, axis=0)),
}
VALUES = {"½": 1 / 2, "π": np.pi, "∞": np.inf}
OPERATORS = {"·": "*", "−": "-", "+": "+", "/": "/", "(": "(", ")": ")"}
POSTFIX = {"ᵀ": ".T", "²": "**2", "³": "**3"}
NAME = r"[A-Za-z_][A-Za-z_0-9]*"
TOKEN = re.compile(rf"⟦[^⟧]*⟧|\[[\d:, ]+\]|\d+(?:\.\d+)?|Σᵣ|{NAME}|\S")
OPERAND = re.compile(  # a minus belongs to a number unless something stands before it
    rf"⟦[^⟧]*⟧|{NAME}(?:\[[^\]]*\])?|(?:(?:(?<=[·+−/] )|(?<=\()|^)−)?(?:\d+(?:\.\d+)?|½)"
)
ROW = re.compile(r"(?<=[\s(])\[ ([^\[\]]*) \]")  # a row of a matrix, unlike an index, has air in it
NEXT_EQUATION = re.compile(r"\s{3,}(?=[A-Za-zΣ√][^=≈≠⟦]*?\s[=≈≠]\s)")  # to the right of another


class Equation(NamedTuple):
    text: str
    sides: list
    signs: list  # between the sides


@functools.cache
def equations(text):
    """The equations of a block. An indented line continues the one above.

    A remark that has a number is an equation too.
    """
    chains, remarks = [], []
    for line in text.splitlines():
        line, _, remark = line.partition("#")
        remarks += [remark] if re.search(r"\d", remark) else []
        line = line.rstrip()
        if line.startswith(" ") and line.lstrip().startswith("["):
            chains[-1][-1].append(line)
        elif line.startswith(" "):
            chains[-1].append([line])
        elif line:
            chains.append([[line]])
    chains += [[[remark]] for remark in remarks]
    lines = ["  ".join(_in_one_line(*part) for part in chain) for chain in chains]
    return [_equation(text) for line in lines for text in NEXT_EQUATION.split(line)]


def _equation(text):
    sides = re.split(r"\s+([=≈≠])\s+", text.strip())
    return Equation(" ".join(text.split()), sides[::2], sides[1::2])


def _in_one_line(head, *below):
    """The line with every matrix as ⟦row;row⟧, its further rows gathered from below its first."""
    matrices = {match.start(): [match[1].split()] for match in ROW.finditer(head)}
    for line in below:
        assert not ROW.sub("", line).strip(), f"more than rows of a matrix: {line.strip()}"
        for match in ROW.finditer(line):
            place = match.start()
            assert place in matrices, f"not below the first row of a matrix: {line.strip()}"
            matrices[place].append(match[1].split())

    def literal(match):
        return f"⟦{';'.join(map(' '.join, matrices[match.start()]))}⟧"

    return ROW.sub(literal, head)


@functools.cache
def side(text):
    return Side(text)


class Side:
    """One side of an equation, as Python that takes every number as an argument."""

    def __init__(self, text):
        self.text, self.numbers = text, []
        self.code = compile(self._python(text), text, "eval")

    def value(self, lookup):
        return self._at([float(number) for number in self.numbers], lookup)

    def slack(self, lookup):
        """How far the rounding of its decimals may have moved the value."""
        exact, slack = [float(number) for number in self.numbers], 0.0
        for i, number in enumerate(self.numbers):
            if "." in number:
                moved = [*exact]
                moved[i] += 0.5 * 10.0 ** -len(number.partition(".")[2])
                slack = slack + np.abs(self._at(moved, lookup) - self.value(lookup))
        return slack

    def _at(self, numbers, lookup):
        scope = dict(numbers=numbers, lookup=lookup, values=VALUES, functions=FUNCTIONS)
        return np.asarray(eval(self.code, scope | dict(matrix=matrix)), np.float64)

    def _python(self, text):
        written, after_operand = [], False
        for token in TOKEN.findall(text):
            python, begins, ends = self._translated(token)
            written += ["@", python] if begins and after_operand else [python]
            after_operand = ends
        return "".join(written)

    def _translated(self, token):
        """The token in Python, whether it can begin an operand, and whether it can end one."""
        if token[0] == "⟦":
            rows = (row.split() for row in token[1:-1].split(";"))
            cells = (",".join(self._python(cell) for cell in row) for row in rows)
            return f"matrix([{','.join(f'[{row}]' for row in cells)}])", True, True
        if token[0] == "[":
            return token, False, True
        if token[0].isdecimal():
            self.numbers.append(token)
            return f"numbers[{len(self.numbers) - 1}]", True, True
        if token in FUNCTIONS:
            return f"functions[{token!r}]**", True, False
        if token in VALUES:
            return f"values[{token!r}]", True, True
        if token in POSTFIX:
            return POSTFIX[token], False, True
        if token in OPERATORS:
            return OPERATORS[token], token == "(", token == ")"
        assert re.fullmatch(NAME, token), f"cannot read {token!r} in {self.text!r}"
        return f"lookup({token!r})", True, True


def matrix(rows):
    """A matrix of one row is a vector, as a bias is."""
    return np.array(rows[0] if len(rows) == 1 else rows)
