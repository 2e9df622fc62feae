import numpy as np
import pytest

from minivit.models.vocabulary import Vocabulary


def test_a_text_becomes_its_begin_its_characters_its_end_and_padding():
    words = Vocabulary("0123456789")
    assert len(words) == 13
    numbers = words.encode(["37", "5", "", "012"], longest=3)
    assert numbers.dtype == np.int64
    assert numbers.tolist() == [
        [1, 6, 10, 2, 0], [1, 8, 2, 0, 0], [1, 2, 0, 0, 0], [1, 3, 4, 5, 2],
    ]  # fmt: skip
    assert words.encode([], longest=3).shape == (0, 5)


def test_decoding_gives_the_text_back_up_to_its_end():
    words = Vocabulary("+ab")
    texts = ["a+b", "", "b"]
    assert [words.decode(row) for row in words.encode(texts, 4)] == texts
    assert words.decode([4, 5, 2, 3]) == "ab"
    assert words.decode([4, 0, 5]) == "ab"  # without an end


@pytest.mark.parametrize("characters", ["", "aba"])
def test_refuses_characters_that_are_none_or_occur_twice(characters):
    with pytest.raises(ValueError, match=f"expected different characters, got '{characters}'"):
        Vocabulary(characters)


def test_refuses_a_text_that_does_not_fit():
    words = Vocabulary("ab")
    with pytest.raises(ValueError, match="a text of 3 characters; expected 2 at most"):
        words.encode(["aba"], 2)
    with pytest.raises(ValueError, match="'c' is not in the vocabulary, 'ab'"):
        words.encode(["ac"], 2)
