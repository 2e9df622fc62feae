"""From tokens to one vector: their mean (Zhai et al. 2021, arXiv:2106.04560), or the first."""

from ..backend import array_module
from .refusals import expect_shape


class MeanPool:
    """Every token has the same say: y = (1/T) Σₜ x[t].

    Params   none
    Forward  x (B, T, D) -> y (B, D)
    Cache    shape of x

    Each token had a share of 1/T in y, so each gets 1/T of dy.
    """

    def forward(self, x):
        expect_shape("MeanPool", x, "B", "T", "D")
        y = x.mean(axis=1)  # (B, D)
        return y, {"shape": x.shape}

    def backward(self, dy, cache):
        xp = array_module(dy)
        T = cache["shape"][1]
        share = dy / T  # (B, D)
        dx = xp.repeat(share[:, None, :], T, axis=1)  # (B, T, D)
        return dx


class PatchMeanPool:
    """Every patch has the same say, the class token before them has none: y = (1/N) Σₜ x[1 + t].

    Params   none
    Forward  x (B, N + 1, D) -> y (B, D)
    Cache    shape of x

    The class token still takes part in the attention of the blocks, and gets its gradient there.
    """

    def forward(self, x):
        expect_shape("PatchMeanPool", x, "B", "N + 1", "D")
        y = x[:, 1:].mean(axis=1)  # (B, D)
        return y, {"shape": x.shape}

    def backward(self, dy, cache):
        xp = array_module(dy)
        N = cache["shape"][1] - 1
        share = dy / N  # (B, D)
        dx = xp.zeros(cache["shape"], dy.dtype)  # (B, N + 1, D)
        dx[:, 1:] = share[:, None, :]
        return dx


class FirstToken:
    """Only the first token, the class token, is read: y = x[0].

    Params   none
    Forward  x (B, T, D) -> y (B, D)
    Cache    shape of x

    All others get no gradient here; theirs comes through the attention of the blocks before.
    """

    def forward(self, x):
        expect_shape("FirstToken", x, "B", "T", "D")
        y = x[:, 0].copy()  # (B, D)
        return y, {"shape": x.shape}

    def backward(self, dy, cache):
        xp = array_module(dy)
        dx = xp.zeros(cache["shape"], dy.dtype)  # (B, T, D)
        dx[:, 0] = dy
        return dx
