"""Words as vectors (Vaswani et al. 2017, arXiv:1706.03762, section 3.4)."""

import math

import numpy as np

from ..backend import array_module, beside
from .initial import truncated_normal
from .refusals import expect_shape, positive_integers


def checked_tokens(where, tokens, words):
    """Return tokens as a NumPy array; raise unless they are integers from 0 to words − 1."""
    tokens = np.asarray(tokens)
    if tokens.dtype.kind not in "iu":
        raise TypeError(f"{where}: tokens must be integers, got {tokens.dtype}")
    if tokens.size and (tokens.min() < 0 or tokens.max() >= words):
        wrong = tokens[(tokens < 0) | (tokens >= words)][0]
        raise ValueError(
            f"{where}: token {wrong} is out of range; {words} words are numbered 0 to {words - 1}"
        )
    return tokens


class Embedding:
    """Each token is the number of a word, and each word has a learned vector: y = w[tokens] · √D.

    Params   w (V, D)
    Forward  tokens (B, T), integers of NumPy's -> y (B, T, D)
    Cache    tokens, where w is
    Errors   ValueError if tokens are not (B, T) or not from 0 to V − 1; TypeError if they are no
             integers

    w starts with numbers of std 1/√D, fit for the way out (see `logits`); times √D they are as
    large as what the blocks expect.

    A word may stand in many places, and its gradient is the sum over all of them: the rows of dy
    are scattered to where the forward has gathered from, and added. (`dw[tokens] = dy` would keep
    the last of them.) A product with rows of zeros and a one says the same, and is the fastest way
    for up to some hundred words:

        dw = onehotᵀ dy        onehot[r, tokens[r]] = √D, 0 elsewhere

    An integer has no slope, so there is no dx.
    """

    def __init__(self, words, dim):
        """words: V, how many there are."""
        self.words, self.dim = positive_integers("Embedding", words=words, dim=dim)
        self.scale = math.sqrt(self.dim)

    def init(self, rng, dtype=np.float32):
        return {"w": truncated_normal(rng, (self.words, self.dim), self.dim**-0.5, dtype)}

    def forward(self, params, tokens):
        tokens = checked_tokens("Embedding", tokens, self.words)
        expect_shape("Embedding", tokens, "B", "T")
        w = params["w"]  # (V, D)
        tokens = beside(tokens, w)  # (B, T)
        y = w[tokens] * self.scale  # (B, T, D)
        return y, {"tokens": tokens}

    def backward(self, params, dy, cache, grads):
        xp = array_module(dy)
        rows = dy.reshape(-1, self.dim)  # (R, D)
        tokens = cache["tokens"].reshape(-1)
        onehot = xp.zeros((len(rows), self.words), dy.dtype)  # (R, V)
        onehot[xp.arange(len(rows)), tokens] = self.scale
        grads["w"] += onehot.T @ rows

    def logits(self, params, x):
        """Score every word by the same vectors, x (..., D) -> logits (..., V) = x wᵀ, and a cache.

        A model may read and write with one w; it is then used twice, and both backwards add to it.
        """
        expect_shape("Embedding.logits", x, ..., self.dim)
        rows = x.reshape(-1, self.dim)  # (R, D)
        scores = rows @ params["w"].T  # (R, V)
        logits = scores.reshape(*x.shape[:-1], self.words)  # (..., V)
        return logits, {"x": x}

    def logits_backward(self, params, dlogits, cache, grads):
        """The backward of `logits`: dx = dlogits w, dw = dlogitsᵀ x."""
        x = cache["x"]
        rows = x.reshape(-1, self.dim)  # (R, D)
        dscores = dlogits.reshape(-1, self.words)  # (R, V)
        grads["w"] += dscores.T @ rows
        drows = dscores @ params["w"]  # (R, D)
        dx = drows.reshape(x.shape)  # (..., D)
        return dx
