import itertools

import numpy as np
import pytest

from minivit.models.search import beam_search, greedy, log_probabilities, rows_of

PADDING, BEGIN, END = range(3)
LONGEST, V = 3, 6
WORDS = dict(longest=LONGEST, begin=BEGIN, end=END, never=(PADDING, BEGIN))


class Chances:
    """Logits that depend on the row's number and on its whole text so far, like a decoder's."""

    def __init__(self, seed=0, spread=2.0):
        self.seed, self.spread, self.calls = seed, spread, 0

    def logits(self, row, text):
        drawn = np.random.default_rng([self.seed, row, *text]).standard_normal(V)
        return self.spread * drawn

    def step(self, tokens, state):
        self.calls += 1
        texts = np.concatenate([state["text"], tokens[:, None]], axis=1)
        rows = [self.logits(row, text) for row, text in zip(state["row"], texts, strict=True)]
        return np.array(rows), {"row": state["row"], "text": texts}

    def begin(self, rows):
        return {"row": np.array(rows), "text": np.zeros((len(rows), 0), int)}

    def score(self, row, text):
        """The logarithm of the probability of a text, which ends with END."""
        total, before = 0.0, [BEGIN]
        for token in text:
            total += log_probabilities(self.logits(row, before)[None])[0, token]
            before.append(token)
        return total


def padded(text):
    return [*text, *[END] * (LONGEST + 1 - len(text))]


def all_texts():
    return [
        [*text, END]
        for length in range(LONGEST + 1)
        for text in itertools.product(range(END + 1, V), repeat=length)
    ]


def test_a_beam_of_one_is_greedy():
    for seed in range(20):
        chances = Chances(seed)
        taken, its_scores = greedy(chances.step, chances.begin([0, 1, 2]), 3, **WORDS)
        found, scores = beam_search(chances.step, chances.begin([0, 1, 2]), 3, width=1, **WORDS)
        np.testing.assert_array_equal(taken, found[:, 0])
        np.testing.assert_allclose(its_scores, scores[:, 0], rtol=1e-12)


def test_greedy_takes_the_most_probable_token_until_the_end():
    chances = Chances(5)
    texts, scores = greedy(chances.step, chances.begin(range(8)), 8, **WORDS)
    for row, text in enumerate(texts):
        shown = text[: list(text).index(END) + 1]
        assert scores[row] == pytest.approx(chances.score(row, shown))
        before = [BEGIN]
        for place, token in enumerate(text):
            if END in before or place == LONGEST:
                assert token == END
            else:
                assert token == END + chances.logits(row, before)[END:].argmax()
            before.append(token)


def test_a_wide_beam_finds_the_most_probable_of_all_texts():
    better = 0
    for seed in range(12):
        chances = Chances(seed)
        texts, scores = beam_search(chances.step, chances.begin([0, 3]), 2, width=64, **WORDS)
        for row, its_texts, its_scores in zip([0, 3], texts, scores, strict=True):
            ranked = sorted(all_texts(), key=lambda text: -chances.score(row, text))
            assert its_texts[:40].tolist() == [padded(text) for text in ranked[:40]]
            expected = [chances.score(row, text) for text in ranked]
            np.testing.assert_allclose(its_scores[: len(expected)], expected, rtol=1e-9)
            assert np.isneginf(its_scores[len(expected) :]).all()
        taken, _ = greedy(chances.step, chances.begin([0, 3]), 2, **WORDS)
        better += (taken != texts[:, 0]).any()
    assert better > 0  # greedy search does not always find it


@pytest.mark.parametrize("width", [2, 5])
def test_a_beam_keeps_the_best_beginnings(width):
    chances = Chances(7)
    texts, scores = beam_search(chances.step, chances.begin([4]), 1, width=width, **WORDS)
    kept = [([BEGIN], 0.0)]
    for place in range(LONGEST + 1):
        longer = [(text, score) for text, score in kept if END in text]
        for text, score in kept:
            if END in text:
                continue
            likely = log_probabilities(chances.logits(4, text)[None])[0]
            for token in range(END, END + 1 if place == LONGEST else V):
                longer.append(([*text, token], score + likely[token]))
        kept = sorted(longer, key=lambda pair: -pair[1])[:width]
    assert texts[0].tolist() == [padded(text[1:]) for text, _ in kept]
    np.testing.assert_allclose(scores[0], [score for _, score in kept], rtol=1e-9)


def test_a_text_does_not_depend_on_those_beside_it():
    chances = Chances(2)
    rows = [5, 1, 8, 3]
    together, scores = beam_search(chances.step, chances.begin(rows), 4, width=3, **WORDS)
    taken, _ = greedy(chances.step, chances.begin(rows), 4, **WORDS)
    for place, row in enumerate(rows):
        alone, its_score = beam_search(chances.step, chances.begin([row]), 1, width=3, **WORDS)
        np.testing.assert_array_equal(together[place], alone[0])
        np.testing.assert_array_equal(scores[place], its_score[0])
        (its_text,), _ = greedy(chances.step, chances.begin([row]), 1, **WORDS)
        np.testing.assert_array_equal(taken[place], its_text)


def test_no_step_is_taken_when_all_have_ended():
    chances = Chances()
    chances.logits = lambda row, text: np.where(np.arange(V) == END, 50.0, 0.0)
    assert (greedy(chances.step, chances.begin([0, 1]), 2, **WORDS)[0] == END).all()
    assert chances.calls == 1
    texts, _ = beam_search(chances.step, chances.begin([0]), 1, width=1, **WORDS)
    assert chances.calls == 2 and (texts == END).all()


def test_probabilities_too_small_for_a_logarithm_are_minus_infinity():
    (likely,) = log_probabilities(np.array([[0, -2000, 0, 1]], np.float32), never=[2])
    assert np.isneginf(likely[[1, 2]]).all() and likely[3] == pytest.approx(1 - np.log(2 + np.e))


def test_rows_of_goes_through_the_nest():
    state = {"k": np.arange(6).reshape(3, 2), "blocks": [{"v": np.arange(3)}, None], "t": 4}
    chosen = rows_of(state, np.array([2, 2, 0]))
    assert chosen["k"].tolist() == [[4, 5], [4, 5], [0, 1]] and chosen["t"] == 4
    assert chosen["blocks"][0]["v"].tolist() == [2, 2, 0] and chosen["blocks"][1] is None
