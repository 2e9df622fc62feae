"""Only some of the tokens go on (He et al. 2021, arXiv:2111.06377, section 3)."""

import numpy as np

from ..backend import array_module, beside
from .refusals import expect_shape


def draw_places(rng, images, tokens, share, always=0):
    """Draw which tokens of each image are kept: their places (images, M), in ascending order.

    share:  of the tokens, at least one of which is kept
    always: so many first tokens are kept whatever is drawn, such as a class token; they are not
            counted in the share
    """
    count = tokens - always
    kept = max(1, round(share * count))
    drawn = rng.random((images, count), np.float32).argsort(axis=1)[:, :kept]
    drawn.sort(axis=1)
    first = np.arange(always) * np.ones((images, 1), int)
    return np.concatenate([first, always + drawn], axis=1)


def checked_places(where, places, images, tokens, kept="M"):
    """Return places (B, M) as a NumPy array; raise unless an image's are different tokens."""
    places = np.asarray(places)
    if places.dtype.kind not in "iu":
        raise TypeError(f"{where}: places must be integers, got {places.dtype}")
    expect_shape(f"{where}: places", places, images, kept)
    if places.size == 0 or places.min() < 0 or places.max() >= tokens:
        got = f"{places.min()} to {places.max()}" if places.size else "none"
        raise ValueError(
            f"{where}: places must be of the {tokens} tokens, 0 to {tokens - 1}, got {got}"
        )
    if (np.diff(np.sort(places, axis=1)) == 0).any():
        raise ValueError(f"{where}: the places of an image must differ from each other")
    return places


class KeepTokens:
    """Some tokens of each image go on, the others are left out: y[b, i] = x[b, places[b, i]].

    Params   none
    Forward  x (B, T, D), rng or places (B, M) -> y (B, M, D); without both, as in evaluation, y is
             x itself, and in the backward dx is dy itself
    Cache    places, on x's device, or None; shape of x
    Errors   ValueError if the share is not more than 0 and at most 1, x is not (B, T, D), or places
             are not of x's tokens or name one of them twice; TypeError if they are no integers

    With an rng it draws a share of each image's tokens, and leaves them in their order. The places
    may also be given, from a draw that somebody else must know, and in any order: all places in
    another order shuffle the tokens. They are an array of NumPy's, which is checked before it is
    sent to a GPU.

    Attention takes any number of tokens, so what is left out costs nothing from here on. What was
    taken from a place returns to it, and a token that was left out changed nothing:

        dx[b, places[b, i]] = dy[b, i]          dx = 0 at all other places
    """

    def __init__(self, share=1.0, always=0):
        """share and always: as in `draw_places`."""
        self.share, self.always = float(share), int(always)
        if not 0 < self.share <= 1:
            raise ValueError(f"KeepTokens: share must be more than 0 and at most 1, got {share!r}")

    def forward(self, x, rng=None, places=None):
        expect_shape("KeepTokens", x, "B", "T", "D")
        if places is None and (rng is None or self.share == 1):
            return x, {"places": None, "shape": x.shape}
        if places is None:
            places = draw_places(rng, *x.shape[:2], self.share, self.always)  # (B, M)
        places = beside(checked_places("KeepTokens", places, *x.shape[:2]), x)  # (B, M)
        rows = array_module(x).arange(len(x))[:, None]  # (B, 1)
        y = x[rows, places]  # (B, M, D)
        return y, {"places": places, "shape": x.shape}

    def backward(self, dy, cache):
        places = cache["places"]
        if places is None:
            return dy
        xp = array_module(dy)
        rows = xp.arange(len(dy))[:, None]  # (B, 1)
        dx = xp.zeros(cache["shape"], dy.dtype)  # (B, T, D)
        dx[rows, places] = dy
        return dx
