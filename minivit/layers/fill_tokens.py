"""Tokens back at their places (He et al. 2021, arXiv:2111.06377, section 3, "MAE decoder")."""

import numpy as np

from ..backend import array_module, beside
from .initial import truncated_normal
from .keep_tokens import checked_places, draw_places
from .refusals import expect_shape, positive_integers
from .sums import sum_rows


class FillTokens:
    """The way back: tokens return to their places, and one learned token fills all others.

        y[b, places[b, i]] = x[b, i]          y = mask at all other places

    Params   mask (D,)
    Forward  x (B, M, D), rng or places (B, M) -> y (B, T, D); without both, as nothing was left
             out, y is x itself, and in the backward dx is dy itself
    Cache    places, on x's device, or None
    Errors   ValueError if x is not (B, M, D) with M ≤ T, or places are not M of T tokens or name
             one twice; TypeError if they are no integers

    It is the backward of `KeepTokens` with something else than zeros, and its backward is the other
    one's forward. The mask filled many places, so its gradient is a sum over all of them: over
    every place, without those that were taken.

        dx[b, i] = dy[b, places[b, i]]          dmask = Σ dy over the places that were filled
    """

    def __init__(self, tokens, dim):
        """tokens: T, how many there are in the end."""
        self.tokens, self.dim = positive_integers("FillTokens", tokens=tokens, dim=dim)

    def init(self, rng, dtype=np.float32):
        return {"mask": truncated_normal(rng, (self.dim,), 0.02, dtype)}

    def forward(self, params, x, rng=None, places=None):
        expect_shape("FillTokens", x, "B", "M", self.dim)
        if x.shape[1] > self.tokens:
            raise ValueError(f"FillTokens: got {x.shape[1]} tokens; expected at most {self.tokens}")
        if places is None and rng is None:
            return x, {"places": None}
        if places is None:
            B, M, _ = x.shape
            places = draw_places(rng, B, self.tokens, M / self.tokens)  # (B, M)
        xp = array_module(x)
        places = checked_places("FillTokens", places, len(x), self.tokens, x.shape[1])  # (B, M)
        places = beside(places, x)  # (B, M)
        rows = xp.arange(len(x))[:, None]  # (B, 1)
        y = xp.zeros((len(x), self.tokens, self.dim), x.dtype)  # (B, T, D)
        y += params["mask"]
        y[rows, places] = x
        return y, {"places": places}

    def backward(self, params, dy, cache, grads):
        places = cache["places"]
        if places is None:
            return dy
        rows = array_module(dy).arange(len(dy))[:, None]  # (B, 1)
        dx = dy[rows, places]  # (B, M, D)
        dfilled = dy.copy()  # (B, T, D)
        dfilled[rows, places] = 0
        grads["mask"] += sum_rows(dfilled)
        return dx
