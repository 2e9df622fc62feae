"""Characters as integers: what a decoder reads and writes."""

from __future__ import annotations  # so that no annotation loads np.random

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

PADDING, BEGIN, END = 0, 1, 2  # what is no character; the characters follow
SPECIAL = 3


class Vocabulary:
    """A number for each character, and three more: padding, the begin and the end of a text.

        words = Vocabulary("0123456789")
        words.encode(["37", "5"], longest=3)     [[1, 6, 10, 2, 0], [1, 8, 2, 0, 0]]
        words.decode([6, 10, 2])                 "37"

    Errors: ValueError for characters that are none, or occur twice.
    """

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = "".join(characters)
        if not self.characters or len(set(self.characters)) != len(self.characters):
            raise ValueError(
                f"Vocabulary: expected different characters, got {self.characters[:40]!r}"
            )
        self.numbers = {each: SPECIAL + i for i, each in enumerate(self.characters)}

    def __len__(self) -> int:
        """How many numbers there are: V."""
        return SPECIAL + len(self.characters)

    def encode(self, texts: Iterable[str], longest: int) -> NDArray[np.int64]:
        """Return texts of at most `longest` characters as (n, longest + 2) integers.

        Each is its begin, its characters, its end, and then padding.
        Errors: ValueError for a longer text, or a character that is not in the vocabulary.
        """
        rows = []
        for text in texts:
            if len(text) > longest:
                raise ValueError(f"a text of {len(text)} characters; expected {longest} at most")
            if unknown := next((each for each in text if each not in self.numbers), ""):
                raise ValueError(f"{unknown!r} is not in the vocabulary, {self.characters[:40]!r}")
            numbers = [self.numbers[each] for each in text]
            rows.append([BEGIN, *numbers, END] + [PADDING] * (longest - len(text)))
        return np.array(rows, np.int64).reshape(len(rows), longest + 2)

    def decode(self, numbers: ArrayLike) -> str:
        """Return the characters up to the end, if there is one; begin and padding are left out."""
        text = []
        for number in np.asarray(numbers).tolist():
            if number == END:
                break
            if number >= SPECIAL:
                text.append(self.characters[number - SPECIAL])
        return "".join(text)
