"""Cross-entropy with label smoothing (Szegedy et al. 2015, arXiv:1512.00567, section 7)."""

from collections.abc import Sequence

import numpy as np

from ..backend import Array, array_module, beside


def cross_entropy(
    logits: Array, labels: Array | Sequence[int], *, smoothing: float = 0.0
) -> tuple[np.floating, Array]:
    """Return the mean loss over the batch, in nats, and its gradient.

        p = softmax(logits)        target = (1 − smoothing) · onehot(label) + smoothing / K
        loss = (1/B) Σ_b Σ_k −target[b, k] log p[b, k]        dlogits = (p − target) / B

    Arguments
        logits:    (B, K) any finite numbers
        labels:    (B,) integers from 0 to K − 1. They are checked on the CPU only, as a GPU would
                   have to be waited for; `checked_labels` checks them before they are sent there
        smoothing: share of the target spread over all classes, 0 ≤ smoothing < 1
    Returns loss, a scalar of logits' dtype, and dlogits (B, K)
    Errors: ValueError or TypeError for labels that do not fit the logits, or smoothing out of range

    Softmax and loss stand in one function because the loss's 1/p cancels against softmax's p. That
    leaves the simplest gradient of all: the prediction minus the truth.

    The targets of an image sum to 1, so its loss is log Σ exp(shifted) − Σ_k target[k] shifted[k].

    log p = shifted − log Σ exp(shifted) never overflows, as shifted = logits − max ≤ 0. The loss is
    infinite only if two logits lie further apart than the dtype's largest number; the gradient is
    right even then.
    """
    labels = _fitting(logits, labels)
    smoothing = float(smoothing)
    if not 0 <= smoothing < 1:
        raise ValueError(
            f"cross_entropy: smoothing must be at least 0 and less than 1, got {smoothing}"
        )
    xp = array_module(logits)
    B, K = logits.shape
    rows = xp.arange(B)

    shifted = logits - logits.max(axis=1, keepdims=True)
    numer = xp.exp(shifted)
    total = numer.sum(axis=1, keepdims=True)  # (B, 1)
    losses = xp.log(total[:, 0]) - (1 - smoothing) * shifted[rows, labels]  # (B,)
    if smoothing:
        losses -= ((smoothing / K) * shifted).sum(axis=1)
    loss = (losses / B).sum()

    dlogits = numer / total
    dlogits -= smoothing / K
    dlogits[rows, labels] -= 1 - smoothing
    dlogits /= B
    return loss, dlogits


def checked_labels(where, labels, classes):
    """Return labels as a NumPy array; raise unless they are integers from 0 to classes − 1."""
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{where}: labels must be integers, got {labels.dtype}")
    if labels.min() < 0 or labels.max() >= classes:
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise ValueError(
            f"{where}: label {wrong} is out of range; "
            f"{classes} classes are numbered 0 to {classes - 1}"
        )
    return labels


def _fitting(logits, labels):
    """Return the labels on the logits' device; raise if the two do not fit each other."""
    if getattr(logits, "dtype", np.dtype(object)).kind not in "fc":
        kind = getattr(logits, "dtype", type(logits).__name__)
        raise TypeError(f"cross_entropy: logits must be a floating-point array, got {kind}")
    on_cpu = array_module(labels) is np
    shape = np.shape(labels) if on_cpu else labels.shape
    if logits.ndim != 2 or shape != logits.shape[:1]:
        raise ValueError(
            f"cross_entropy: expected logits (B, K) and labels (B,), got {logits.shape} and {shape}"
        )
    if len(labels) == 0:
        raise ValueError("cross_entropy: the batch is empty; the mean over no images is undefined")
    if on_cpu:
        labels = beside(checked_labels("cross_entropy", labels, logits.shape[1]), logits)
    return labels
