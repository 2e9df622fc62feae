"""Sinusoidal positions (Vaswani et al. 2017, arXiv:1706.03762, section 3.5; 2-D: as in MAE)."""

from ..backend import array_module
from .refusals import expect_shape, positive_integers


def sinusoids(xp, N, D):
    """The positions of the places 0 to N − 1: (N, D), in float64; xp is the array module.

    Features 2i and 2i + 1 of place p are sin(p · rate) and cos(p · rate), rate = 10000^(−2i/D).
    """
    place = xp.arange(N)[:, None]  # (N, 1)
    rates = 10000.0 ** (-xp.arange(0, D, 2) / D)  # (D/2,)
    pairs = xp.stack([xp.sin(place * rates), xp.cos(place * rates)], axis=-1)  # (N, D/2, 2)
    return pairs.reshape(N, D)  # (N, D)


class SinusoidalPositions:
    """Each place has a fixed vector of sines and cosines, added to its token: y = x + pos.

        pos[p, 2i] = sin(p · 10000^(−2i/D))          pos[p, 2i + 1] = cos(p · 10000^(−2i/D))

    Params   none
    Forward  x (B, T, D) -> y (B, T, D)
    Cache    nothing
    Errors   ValueError if dim is odd, or x is not (B, T, D)

    Like the hands of many clocks, from fast to slow, they tell places apart. Moving on by some
    places turns each hand by a fixed angle, wherever one starts, so that a linear map can say "the
    neighbour". A class token has no place: its row of pos is zero. Nothing is learned here, so the
    backward only hands dy on. The layer stands in for learned positions, and takes the same
    arguments.
    """

    def __init__(self, places, dim, class_token=False):
        """class_token: whether a class token comes before the tokens of the `places`."""
        self.places, self.dim = positive_integers("SinusoidalPositions", places=places, dim=dim)
        self.tokens = self.places + bool(class_token)
        if self.dim % 2:
            raise ValueError(
                f"SinusoidalPositions: dim {dim} must be even, a sine and a cosine of each rate"
            )

    def init(self, rng, dtype=None):
        return {}

    def table(self, xp):
        """The rows of all places, (N, D)."""
        return sinusoids(xp, self.places, self.dim)

    def forward(self, params, x):
        expect_shape("SinusoidalPositions", x, "B", self.tokens, self.dim)
        xp = array_module(x)
        pos = xp.zeros((self.tokens, self.dim), x.dtype)  # (T, D)
        pos[self.tokens - self.places :] = self.table(xp)
        y = x + pos  # (B, T, D)
        return y, {}

    def backward(self, params, dy, cache, grads):
        dx = dy.copy()  # (B, T, D)
        return dx


class SinusoidalPositions2D(SinusoidalPositions):
    """The same for a grid: half of the features tell the row of a patch, the others its column.

    Params, Forward and Cache are those of SinusoidalPositions, with rows · columns places.
    Errors   ValueError if dim is not divisible by 4, or x is not (B, T, D)

    In 1-D, the patch below is as far away as a whole row of patches; here it is a neighbour.
    """

    def __init__(self, rows, columns, dim, class_token=False):
        self.rows, self.columns, self.dim = positive_integers(
            "SinusoidalPositions2D", rows=rows, columns=columns, dim=dim
        )
        if self.dim % 4:
            raise ValueError(
                f"SinusoidalPositions2D: dim {dim} must be divisible by 4, a sine and a cosine of "
                "each rate for the rows and for the columns"
            )
        self.places = self.rows * self.columns
        self.tokens = self.places + bool(class_token)

    def table(self, xp):
        of_rows = sinusoids(xp, self.rows, self.dim // 2)  # (H/P, D/2)
        of_columns = sinusoids(xp, self.columns, self.dim // 2)  # (W/P, D/2)
        of_rows = xp.repeat(of_rows, self.columns, axis=0)  # (N, D/2)
        of_columns = xp.tile(of_columns, (self.rows, 1))  # (N, D/2)
        return xp.concatenate([of_rows, of_columns], axis=1)  # (N, D)
