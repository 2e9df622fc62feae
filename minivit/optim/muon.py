"""Muon (Keller Jordan et al. 2024, https://kellerjordan.github.io/posts/muon)."""

import math

from ..backend import Array, array_module, device_of
from ..params import Params
from .adam import AdamW
from .optimizer import Optimizer, is_matrix

FEW = 4  # matrices that are orthogonalised together, so that they stay in the cache
SIDE_BY_SIDE = {"qkv": 3, "kv": 2}  # matrices that are kept as one


class Muon(Optimizer):
    """Steps of equal size in every direction for the matrices of the blocks; AdamW for the rest.

        velocity ← momentum · velocity + g
        ahead = g + momentum · velocity                                       (Nesterov)
        w ← w − lr · decay · w − lr · √max(1, d_out / d_in) · orthogonalised(ahead)

    The gradient of a matrix is often large in a few directions only: its singular value
    decomposition U S Vᵀ has few large values in S, and a step along it learns little else. In its
    orthogonalised form, U Vᵀ, all directions count the same. q, k and v are matrices of their own,
    although they lie side by side in `qkv`, and k and v in `kv`.

    Biases, layer norms, positions, class token, stem, patches and head go to AdamW, at the rate
    `rest_lr`; when `lr` changes, that rate changes in proportion.
    """

    lasting = ("velocity", "rest")

    def __init__(
        self,
        params: Params,
        lr: float = 0.02,
        *,
        momentum: float = 0.95,
        decay: float = 0.05,
        rest_lr: float = 3e-3,
        betas: tuple[float, float] = (0.9, 0.98),
    ) -> None:
        if not lr > 0:
            raise ValueError(f"Muon: lr must be positive, got {lr!r}; optimizer.lr may be 0 later")
        super().__init__(params, lr)
        self.momentum, self.decay = momentum, decay
        self.velocity = params.zeros_like().flat
        self.ahead = params.zeros_like()
        rest = {name: leaf for name, leaf in params.named() if not is_inner_matrix(name, leaf)}
        # Only the names and sizes of this copy matter: update passes the real numbers.
        self.rest = AdamW(Params(rest), rest_lr, betas=betas, decay=decay)
        self.rest_share = rest_lr / lr
        is_rest = params.mask(lambda name, leaf: not is_inner_matrix(name, leaf))
        (self.rest_places,) = array_module(is_rest).nonzero(is_rest)  # their places in flat
        # Matrices of one shape are orthogonalised together: (weights, ahead), …
        self.groups: dict[tuple[int, ...], list[tuple[Array, Array]]] = {}
        for (name, leaf), (_, ahead) in zip(params.named(), self.ahead.named(), strict=True):
            if is_inner_matrix(name, leaf):
                split = array_module(leaf).split
                parts = SIDE_BY_SIDE.get(name.split(".")[-2], 1)
                pairs = zip(split(leaf, parts, axis=1), split(ahead, parts, axis=1), strict=True)
                for w, part in pairs:
                    self.groups.setdefault(w.shape, []).append((w, part))

    def update(self, p: Array, g: Array) -> None:
        xp = array_module(p)
        rest = p[self.rest_places]
        self.rest.lr = self.lr * self.rest_share
        self.rest.update(rest, g[self.rest_places])
        p[self.rest_places] = rest
        self.velocity *= self.momentum
        self.velocity += g
        xp.multiply(self.velocity, self.momentum, out=self.ahead.flat)
        self.ahead.flat += g
        few = FEW if device_of(p) == "cpu" else len(self.velocity)
        jobs = [
            pairs[start : start + few]
            for pairs in self.groups.values()
            for start in range(0, len(pairs), few)
        ]
        list(self.mapper(self._turn, jobs))

    def _turn(self, pairs):
        """Take a step with a few matrices of one shape, (weights, ahead), …"""
        xp = array_module(pairs[0][0])
        d_in, d_out = pairs[0][0].shape
        steps = orthogonalised(xp.stack([ahead for _, ahead in pairs]))  # (n, d_in, d_out)
        size = self.lr * math.sqrt(max(1, d_out / d_in))
        for (w, _), step in zip(pairs, steps, strict=True):
            w *= 1 - self.lr * self.decay
            w -= size * step


def is_inner_matrix(name, leaf):
    """Whether a parameter is a matrix inside a block: not that of the patches, nor the head."""
    return "blocks" in name.split(".") and is_matrix(name, leaf)


def orthogonalised(g, steps=5):
    """Matrices (n, rows, columns), g = U S Vᵀ, with their singular values S brought close to 1.

    Newton–Schulz: a polynomial a x + b x³ + c x⁵ of the matrix acts on each singular value by
    itself, and five rounds of this one take any between about 0.01 and 1 to between 0.68 and 1.14,
    with matrix products alone. A zero matrix stays zero.
    """
    rows, columns = g.shape[-2:]
    if rows > columns:
        return orthogonalised(g.mT, steps).mT  # the smaller of x xᵀ and xᵀ x
    a, b, c = 3.4445, -4.7750, 2.0315
    xp = array_module(g)
    norm = xp.sqrt((g * g).sum(axis=(-2, -1), keepdims=True))  # (n, 1, 1), at least the largest S
    x = g / xp.maximum(norm, 1e-7)
    for _ in range(steps):
        gram = x @ x.mT  # (n, rows, rows)
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x
