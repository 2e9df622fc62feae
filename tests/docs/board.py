"""The board: a page's equations are written on it one by one, and must agree with what is there."""

import re

import numpy as np

from tests.docs.equations import FUNCTIONS, NAME, OPERAND, side


class Board:
    """The values known so far: `written` by equations, or `seen` in a run of the engine."""

    def __init__(self, seen):
        self.seen, self.written = seen, {}

    def lookup(self, name):
        if name in self.written:
            return self.written[name]
        assert name in self.seen, f"{name} stands here before it has a value"
        return np.squeeze(self.seen[name][-1])

    def check(self, equation):
        """Raise AssertionError unless all sides agree, with each other and with the run.

        The first time that a name stands alone on the left, it gets the value of the next side.
        """
        text, sides, signs = equation
        assert signs, f"no equation: {text}"
        name = sides[0]
        if re.fullmatch(NAME, name) and name not in self.written and signs[0] == "=":
            value = side(sides[1]).value(self.lookup)
            values = [np.squeeze(seen) for seen in self.seen.get(name, [])]
            assert not values or any(agree(value, seen, 0) for seen in values), (
                f"{text}\n{name} is, in the source, {values}"
            )
            self.written[name] = value
        for before, sign, after in zip(sides, signs, sides[1:], strict=False):
            assert self._agree(sides[0], after, sign) == (sign != "≠"), f"{text}\n{after}: is wrong"
            for one, other in substitutions(before, after):
                assert self._agree(one, other, sign), f"{text}\n{one} is not {other}"

    def _agree(self, one, other, sign):
        expected, value = side(one).value(self.lookup), side(other).value(self.lookup)
        return agree(value, expected, side(other).slack(self.lookup) if sign == "≈" else 0)


def substitutions(before, after):
    """Pairs of operands, where one side is the other with numbers in place of its names.

    So a wrong 7 in `w · dy = 7 · 0` is noticed, although it is multiplied by zero.
    """
    frames, operands = [], []
    for text in (before, after):
        frame = OPERAND.sub(lambda token: token[0] if token[0] in FUNCTIONS else "_", text)
        frames.append(frame.split())
        operands.append([token for token in OPERAND.findall(text) if token not in FUNCTIONS])
    return zip(*operands, strict=True) if frames[0] == frames[1] != ["_"] else ()


def agree(value, expected, slack):
    """Whether two arrays have the same shape and values, up to float64's rounding and `slack`."""
    value, expected = np.squeeze(value), np.squeeze(expected)
    if value.shape != expected.shape:
        return False
    rounding = 1e-12 * np.abs(expected).max(initial=1, where=np.isfinite(expected))
    error = np.where(value == expected, 0, value) - np.where(value == expected, 0, expected)
    return bool((np.abs(error) <= np.squeeze(slack) + rounding).all())
