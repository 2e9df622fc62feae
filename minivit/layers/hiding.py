"""Hidden scores (Vaswani et al. 2017, arXiv:1706.03762, section 3.2.3), and lengths of sequences.

Sequences of a batch differ in length. The shorter ones are filled up with padding, whose content
must never matter: `lengths` says how many tokens of each are real.
"""

import math

import numpy as np

from ..backend import array_module, beside
from .refusals import expect_shape


def checked_lengths(where, lengths, B, T):
    """Return lengths (B,) as a NumPy array; raise unless they are integers from 1 to T.

    Of no real token there is nothing to attend to, and no mean to take.
    """
    lengths = np.asarray(lengths)
    if lengths.dtype.kind not in "iu":
        raise TypeError(f"{where}: lengths must be integers, got {lengths.dtype}")
    expect_shape(f"{where}: lengths", lengths, B)
    if (lengths < 1).any() or (lengths > T).any():
        wrong = lengths[(lengths < 1) | (lengths > T)][0]
        raise ValueError(f"{where}: lengths must be of the {T} tokens, 1 to {T}, got {wrong}")
    return lengths


def hide_later(scores):
    """Set the scores of the keys that come after their query to −inf, in place: (B, h, T, T)."""
    places = array_module(scores).arange(scores.shape[-1])
    later = places > places[:, None]  # (T, T)
    array_module(scores).copyto(scores, -math.inf, where=later)


def hide_padding(scores, lengths):
    """Set the scores of the keys from lengths[b] on to −inf, in place: (B, h, T, S)."""
    places = array_module(scores).arange(scores.shape[-1])
    padding = places >= beside(lengths, scores)[:, None, None, None]  # (B, 1, 1, S)
    array_module(scores).copyto(scores, -math.inf, where=padding)
