"""Cross-entropy with label smoothing (Szegedy et al. 2015, arXiv:1512.00567, section 7)."""

import numpy as np


class CrossEntropy:
    """How much the labels surprise the model with the scores x: a mean over the batch, in nats.

        p = softmax(x)        target = (1 − smoothing) · onehot(label) + smoothing / K
        loss = (1/B) Σ_b Σ_k −target[b, k] log p[b, k]

    Params   none
    Forward  x (B, K) -> loss, one number; the labels (B,) are the layer's own
    Cache    p, target (B, K)

        dx = dy · (p − target) / B
    """

    def __init__(self, labels, smoothing=0.0):
        self.labels, self.smoothing = labels, smoothing

    def forward(self, x):
        B, K = x.shape
        onehot = np.eye(K, dtype=x.real.dtype)[self.labels]  # (B, K)
        target = (1 - self.smoothing) * onehot + self.smoothing / K  # (B, K)
        shifted = x - x.max(axis=1, keepdims=True)
        numer = np.exp(shifted)
        total = numer.sum(axis=1, keepdims=True)  # (B, 1)
        p = numer / total
        log_p = shifted - np.log(total)
        loss = -(target * log_p).sum() / B
        return loss, {"p": p, "target": target}

    def backward(self, dy, cache):
        p, target = cache["p"], cache["target"]
        dx = dy * (p - target) / len(p)
        return dx
