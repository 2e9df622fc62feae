"""The board that a page's equations are written on, one after the other, and must agree on."""

import re

import numpy as np

from tests.docs.equations import FUNCTIONS, NAME, OPERAND, Side


class Board:
    """What is known so far: the names that equations gave a value, and `seen`, those of a run."""

    def __init__(self, seen):
        self.seen, self.written = seen, {}

    def lookup(self, name):
        if name in self.written:
            return self.written[name]
        assert name in self.seen, f"{name} stands here before it has a value"
        return np.squeeze(self.seen[name][-1])

    def check(self, equation):
        """Raise AssertionError unless all sides agree, and agree with the run under their name.

        A name that stands alone on the left, for the first time, gets the value of the next side.
        """
        text, sides, signs = equation
        assert signs, f"no equation: {text}"
        name = sides[0]
        if re.fullmatch(NAME, name) and name not in self.written and signs[0] == "=":
            value, _ = Side(sides[1]).evaluate(self.lookup)
            values = [np.squeeze(seen) for seen in self.seen.get(name, [])]
            assert not values or any(agree(value, seen, 0) for seen in values), (
                f"{text}\n{name} is, in the source, {values}"
            )
            self.written[name] = value
        for before, sign, side in zip(sides, signs, sides[1:], strict=False):
            assert self._agree(sides[0], side, sign) == (sign != "≠"), f"{text}\n{side}: is wrong"
            for one, other in substitutions(before, side):
                assert self._agree(one, other, sign), f"{text}\n{one} is not {other}"

    def _agree(self, one, other, sign):
        expected, _ = Side(one).evaluate(self.lookup)
        value, slack = Side(other).evaluate(self.lookup)
        return agree(value, expected, slack if sign == "≈" else 0)


def substitutions(before, after):
    """Pairs of operands, where one side is the other with numbers put in for its names.

    So the 7 in `w · dy = 7 · 0` is seen to be wrong, whatever it is multiplied with.
    """
    frames, operands = [], []
    for side in (before, after):
        found = [token for token in OPERAND.findall(side) if token not in FUNCTIONS]
        frame = OPERAND.sub(lambda token: token[0] if token[0] in FUNCTIONS else "_", side)
        frames.append(frame.split())
        operands.append(found)
    return zip(*operands, strict=True) if frames[0] == frames[1] != ["_"] else ()


def agree(value, expected, slack):
    """Whether two arrays are of one shape and one value, but for float64's rounding and `slack`."""
    value, expected = np.squeeze(value), np.squeeze(expected)
    if value.shape != expected.shape:
        return False
    rounding = 1e-12 * np.abs(expected).max(initial=1)
    return bool((np.abs(value - expected) <= np.squeeze(slack) + rounding).all())
