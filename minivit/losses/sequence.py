"""Cross-entropy over sequences (Vaswani et al. 2017, arXiv:1706.03762, sections 3.4 and 5.4)."""

from collections.abc import Sequence

import numpy as np

from ..backend import Array, array_module, beside
from ..layers.hiding import checked_lengths
from .cross_entropy import cross_entropy


def sequence_cross_entropy(
    logits: Array,
    targets: Array,
    lengths: Array | Sequence[int],
    *,
    smoothing: float = 0.0,
) -> tuple[np.floating, Array]:
    """Return the mean loss over the real tokens of the batch, in nats, and its gradient.

        loss = (1/Σ_b lengths[b]) Σ_b Σ_(t < lengths[b]) −Σᵥ target[b, t, v] log p[b, t, v]

    Arguments
        logits:    (B, T, V); at real tokens any finite numbers
        targets:   (B, T) integers from 0 to V − 1: at each place the word that comes next
        lengths:   (B,) integers of NumPy's from 1 to T; from there on a sequence is padding
        smoothing: of the targets, see cross_entropy.py
    Returns loss, a scalar of logits' dtype, and dlogits (B, T, V), zero at padding
    Errors: ValueError or TypeError for what does not fit each other, or is out of range

    Only the rows of real tokens reach the loss. So what stands at padding never matters, be it
    infinite or no word at all; and the mean is over the real tokens, not over all places, so that
    no sequence counts less because a longer one stands beside it.
    """
    if array_module(targets) is np:
        targets = np.asarray(targets)
    if logits.ndim != 3 or targets.shape != logits.shape[:2]:
        raise ValueError(
            "sequence_cross_entropy: expected logits (B, T, V) and targets (B, T), got "
            f"{logits.shape} and {targets.shape}"
        )
    B, T, V = logits.shape
    ends = checked_lengths("sequence_cross_entropy", lengths, B, T)
    real = np.flatnonzero(np.arange(T) < ends[:, None])  # the rows that are no padding
    rows = beside(real, logits)
    labels = targets.reshape(-1)[beside(real, targets)]
    loss, dreal = cross_entropy(logits.reshape(B * T, V)[rows], labels, smoothing=smoothing)
    dlogits = array_module(logits).zeros((B * T, V), logits.dtype)
    dlogits[rows] = dreal
    return loss, dlogits.reshape(B, T, V)
