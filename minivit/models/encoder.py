"""The encoder: from images to tokens (Dosovitskiy et al. 2020, arXiv:2010.11929, figure 1)."""

import math
import numbers
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ..backend import Array
from ..html import table
from ..layers import (
    Attention,
    ClassToken,
    Dropout,
    Identity,
    KeepTokens,
    LayerNorm,
    MaskedAttention,
    Patches,
    Positions,
    PostNormBlock,
    PreNormBlock,
    SinusoidalPositions,
    SinusoidalPositions2D,
)
from ..layers.refusals import expect_like, expect_one_of, pair, positive_integers
from ..params import Nest, Params


class Encoder:
    """Patches become tokens, and blocks let them talk to each other.

        images → patches (→ class token) → positions (→ kept) → dropout → blocks → ln → tokens

    Params   patches {w, b}, cls (D,), pos (T, D), blocks [ln1, attn, ls1, ln2, mlp, ls2],
             ln {w, b}; without cls or pos if there are none, ln empty if norm="post"
    Forward  images (B, H, W, C), normalised floats -> tokens (B, T, D), or (B, M, D) of M `places`
    Cache    patches, cls, pos, kept, dropout, blocks, ln: the caches of the layers

    Arguments
        image_size:  pixels, one number for a square or (height, width)
        patch_size:  side of a patch in pixels, or (height, width); must divide those of the image
        channels:    1 for grey, 3 for colour
        dim, depth, heads, mlp_dim: width D, blocks L, heads h (must divide dim), width F of the MLP
        class_token: whether a learned token comes before the patches
        positions:   "learned", fixed "sincos1d" or "sincos2d" (sinusoids.py); "rotary", which turns
                     queries and keys by the number of the token (rotary.py); or None for a model
                     that cannot tell where a patch was
        norm:        "pre" (block.py), or "post" (post_norm.py), which has no layer norm at the end
        eps:         of every layer norm
        activation:  of the MLPs: "gelu_tanh" (gelu.py), or "gelu_exact" (gelu_exact.py)
        layer_scale: its initial value in pre-norm blocks (layer_scale.py), or None for none
        dropout:     rate, while training, at the tokens with their positions and at the end of each
                     branch of a block (Vaswani et al. 2017, section 5.4)
        drop_path:   rate of stochastic depth in the last block; it grows evenly from the first
                     (Huang et al. 2016, equation 4)

    A model is an encoder with something on top. It inherits, so that the encoder's parameters keep
    their names in every model, and adds its own to `init`, `forward` and `backward` (vit.py).

    Initial values: weights from a normal cut at two standard deviations with std 1/√d_in (corrected
    for the cut); the two ways into the residual stream of a pre-norm block times 1/√(2L), so that
    the stream does not grow with depth (GPT-2, section 2.3); positions with std 0.02; class token
    and biases zero.

    Errors: ValueError or TypeError naming the value that cannot work.
    """

    pos: Any  # one of three kinds of positions, or none
    blocks: list[Any]  # pre-norm or post-norm

    def __init__(
        self,
        *,
        image_size: int | Sequence[int],
        patch_size: int | Sequence[int],
        channels: int,
        dim: int,
        depth: int,
        heads: int,
        mlp_dim: int,
        class_token: bool = False,
        positions: str | None = "learned",
        norm: str = "pre",
        eps: float = 1e-6,
        activation: str = "gelu_tanh",
        layer_scale: float | None = None,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        name = type(self).__name__
        channels, dim, depth, heads, mlp_dim = positive_integers(
            name, channels=channels, dim=dim, depth=depth, heads=heads, mlp_dim=mlp_dim
        )
        sides = pair(name, "patch_size", patch_size)
        P, Q = (positive_integers(name, patch_size=side)[0] for side in sides)
        patch_size = P if P == Q else [P, Q]
        kinds = ["learned", "sincos1d", "sincos2d", "rotary", None]
        expect_one_of(name, "positions", positions, kinds)
        expect_one_of(name, "norm", norm, ["pre", "post"])
        if layer_scale is not None and norm == "post":
            raise ValueError(f'{name}: layer_scale needs norm="pre", got norm="post"')
        for rate_name, rate in {"dropout": dropout, "drop_path": drop_path}.items():
            if isinstance(rate, bool) or not isinstance(rate, numbers.Real) or not 0 <= rate < 1:
                raise ValueError(
                    f"{name}: {rate_name} must be at least 0 and less than 1, got {rate!r}"
                )

        height, width = pair(name, "image_size", image_size)
        self.patches = Patches(height, width, patch_size, channels, dim)
        rows, columns = self.patches.rows, self.patches.columns
        self.tokens = self.patches.count + bool(class_token)  # T
        self.cls = ClassToken(dim) if class_token else Identity()
        if positions == "learned":
            self.pos = Positions(self.tokens, dim)
        elif positions == "sincos1d":
            self.pos = SinusoidalPositions(self.patches.count, dim, class_token)
        elif positions == "sincos2d":
            self.pos = SinusoidalPositions2D(rows, columns, dim, class_token)
        else:
            self.pos = Identity()
        self.kept = KeepTokens()
        self.dropout = Dropout(dropout)
        rotary = partial(MaskedAttention, causal=False, rotary=True)
        sizes = dict(dim=dim, heads=heads, mlp_dim=mlp_dim, eps=eps, activation=activation)
        sizes |= dict(attention=rotary if positions == "rotary" else Attention)
        rates = [
            dict(dropout=dropout, drop_path=drop_path * (number / depth))
            for number in range(1, depth + 1)
        ]
        if norm == "pre":
            sizes |= dict(gain=1 / math.sqrt(2 * depth), layer_scale=layer_scale)
            self.blocks = [PreNormBlock(**sizes, **rate) for rate in rates]
        else:
            self.blocks = [PostNormBlock(**sizes, **rate) for rate in rates]
        self.ln = LayerNorm(dim, eps) if norm == "pre" else Identity()
        self.numbers = self.tokens * dim  # of an image, in its tokens
        self.most_numbers = self.tokens * max(dim, heads * self.tokens)  # or in its attention
        self.config = dict(  # type(self)(**config) is the same model; all of it can be JSON
            image_size=[self.patches.height, self.patches.width], patch_size=patch_size,
            channels=channels, dim=dim, depth=depth, heads=heads, mlp_dim=mlp_dim,
            class_token=bool(class_token), positions=positions, norm=norm,
            eps=self.blocks[0].ln1.eps, activation=activation, layer_scale=layer_scale,
            dropout=self.dropout.rate, drop_path=self.blocks[-1].drop1.path_rate,
        )  # fmt: skip

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.config.items())
        return f"{type(self).__name__}({arguments})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the arguments, and how many tokens an image becomes."""
        patches = f"{self.patches.rows} x {self.patches.columns} patches, {self.tokens} tokens"
        caption = f"{type(self).__name__}: {patches}"
        return table(caption, ["argument", "value"], self.config.items())

    # np.random is in quotes, as NumPy loads it only when it is asked for.
    def init(self, rng: "np.random.Generator", dtype: type | np.dtype = np.float32) -> Nest:
        """Return the nest of initial parameters, for Params; `rng` is a np.random.Generator."""
        return {
            "patches": self.patches.init(rng, dtype),
            **self.cls.init(rng, dtype),  # single arrays, cls and pos
            **self.pos.init(rng, dtype),
            "blocks": [block.init(rng, dtype) for block in self.blocks],
            "ln": self.ln.init(rng, dtype),
        }

    def forward(
        self,
        params: Params | Nest,
        images: Array,
        rng: "np.random.Generator | None" = None,
        *,
        keep: bool = True,
        places: Array | None = None,
    ) -> tuple[Array, Any]:
        """Return tokens (B, T, D) and the cache for `backward`.

        rng:    a np.random.Generator, for training with dropout or stochastic depth; without it
                nothing is left out
        keep:   False for evaluation: each block's cache is dropped at once
        places: of the tokens that go through the blocks (keep_tokens.py); without it, all do
        Errors: ValueError for places with rotary positions, which count the tokens that are there
        """
        if places is not None and self.config["positions"] == "rotary":
            raise ValueError(
                f"{type(self).__name__}: rotary positions count all tokens; leave none of them "
                "out, or choose other positions"
            )
        expect_like(type(self).__name__, "images", images, params["patches"]["w"])
        cache: dict[str, Any] = {"blocks": []}
        x, cache["patches"] = self.patches.forward(params["patches"], images)  # (B, N, D)
        x, cache["cls"] = self.cls.forward(params, x)  # (B, T, D)
        x, cache["pos"] = self.pos.forward(params, x)  # (B, T, D)
        x, cache["kept"] = self.kept.forward(x, places=places)  # (B, T, D)
        x, cache["dropout"] = self.dropout.forward(x, rng)  # (B, T, D)
        for block, block_params in zip(self.blocks, params["blocks"], strict=True):
            x, block_cache = block.forward(block_params, x, rng)  # (B, T, D)
            cache["blocks"].append(block_cache if keep else None)
            block_cache = None  # or an unkept cache would live on through the next block
        tokens, cache["ln"] = self.ln.forward(params["ln"], x)  # (B, T, D)
        return tokens, cache

    def backward(
        self, params: Params | Nest, dtokens: Array, cache: Any, grads: Params | Nest
    ) -> Array:
        """Add dLoss/dparams to `grads`; return dLoss/dimages (B, H, W, C)."""
        if None in cache["blocks"]:
            raise ValueError(
                f"{type(self).__name__}: the cache was not kept; call forward with keep=True"
            )
        dx = self.ln.backward(params["ln"], dtokens, cache["ln"], grads["ln"])  # (B, T, D)
        blocks = zip(self.blocks, params["blocks"], cache["blocks"], grads["blocks"], strict=True)
        for block, block_params, block_cache, block_grads in reversed(list(blocks)):
            dx = block.backward(block_params, dx, block_cache, block_grads)  # (B, T, D)
        dx = self.dropout.backward(dx, cache["dropout"])  # (B, T, D)
        dx = self.kept.backward(dx, cache["kept"])  # (B, T, D)
        dx = self.pos.backward(params, dx, cache["pos"], grads)  # (B, T, D)
        dx = self.cls.backward(params, dx, cache["cls"], grads)  # (B, N, D)
        dimages = self.patches.backward(params["patches"], dx, cache["patches"], grads["patches"])
        return dimages  # (B, H, W, C)
