"""From a decoder's probabilities to a text: greedy and beam search.

Both are given `step(tokens, state) -> logits, state`: what follows each of the tokens (R,), logits
(R, V), where `state` is what the step remembers of the rows so far, a nest of arrays (R, ...).
"""

import numpy as np

from ..backend import Array, beside, to_device
from ..layers import Softmax


def greedy(step, state, count, *, longest, begin, end, never=()):
    """Take the most probable token, again and again.

    Returns texts (count, longest + 1), int64, and the logarithms of their probabilities (count,). A
    text is what follows `begin`: at most `longest` tokens, its `end`, and then only ends.
    count: how many texts there are: the rows of `state`
    never: tokens that no text has, such as padding and begin
    """
    tokens = np.full(count, begin)
    texts, scores = np.full((count, longest + 1), end), np.zeros(count)
    for place in range(longest + 1):
        logits, state = step(tokens, state)
        likely = log_probabilities(logits, never)  # (B, V)
        best = likely.argmax(axis=-1)
        if place == longest:
            best[:] = end  # what has not ended does so now
        ended = tokens == end
        scores += np.where(ended, 0, likely[np.arange(count), best])
        tokens = np.where(ended, end, best)
        texts[:, place] = tokens
        if (tokens == end).all():
            break
    return texts, scores


def beam_search(step, state, count, *, width, longest, begin, end, never=()):
    """Keep the `width` most probable beginnings of each text, step by step.

    Returns texts (count, width, longest + 1), the most probable first, and the logarithms of their
    probabilities (count, width), which are -inf where there are fewer texts. Other arguments are
    those of `greedy`. With a width of 1 it finds the same; with as many as there are beginnings, no
    text is more probable than the first.
    """
    texts = np.full((count, width, longest + 1), end)
    scores = np.full((count, width), -np.inf)
    scores[:, 0] = 0  # all beginnings are alike at first
    state = rows_of(state, np.repeat(np.arange(count), width))
    tokens = np.full((count, width), begin)
    for place in range(longest + 1):
        logits, state = step(tokens.reshape(-1), state)
        likely = log_probabilities(logits, never).reshape(count, width, -1)  # (B, W, V)
        V = likely.shape[-1]
        only_end = np.where(np.arange(V) == end, 0, -np.inf)
        likely = np.where((tokens == end)[..., None], only_end, likely)
        if place == longest:
            likely = np.where(np.arange(V) == end, likely, -np.inf)
        together = (scores[..., None] + likely).reshape(count, width * V)
        best = np.argsort(-together, axis=1, kind="stable")[:, :width]  # (B, W)
        scores = np.take_along_axis(together, best, axis=1)
        origin, tokens = np.divmod(best, V)  # which beginning goes on, and with what
        texts = np.take_along_axis(texts, origin[..., None], axis=1)
        texts[..., place] = tokens
        state = rows_of(state, (np.arange(count)[:, None] * width + origin).reshape(-1))
        if (tokens == end).all():
            break
    return texts, scores


def log_probabilities(logits: Array, never=()) -> np.ndarray:
    """Return the logarithms of softmax(logits), (R, V) float64 on the CPU; -inf for `never`."""
    probabilities, _ = Softmax().forward(to_device(logits, "cpu").astype(np.float64))
    with np.errstate(divide="ignore"):
        likely = np.log(probabilities)
    likely[:, list(never)] = -np.inf
    return likely


def rows_of(state, rows):
    """Return the same nest with the chosen rows of each array; what is no array stays."""
    if isinstance(state, dict):
        return {name: rows_of(value, rows) for name, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [rows_of(value, rows) for value in state]
    return state[beside(rows, state)] if getattr(state, "ndim", 0) else state
