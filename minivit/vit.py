"""The Vision Transformer (Dosovitskiy et al. 2020, arXiv:2010.11929, figure 1)."""

import math

import numpy as np

from .layers import (
    ClassToken,
    Dropout,
    FirstToken,
    Identity,
    LayerNorm,
    Linear,
    MeanPool,
    Patches,
    Positions,
    PostNormBlock,
    PreNormBlock,
    SinusoidalPositions,
    SinusoidalPositions2D,
)
from .layers.refusals import expect_like, expect_one_of, pair, positive_integers


class ViT:
    """Patches become tokens, blocks let them talk, and the head reads their mean (or class token).

        images → patches (→ class token) → positions → blocks → layer norm → pool → head → logits

    Params   patches, cls (pool="cls" only), pos (if learned), dropout, blocks [ln1, attn, drop1,
             ln2, mlp, drop2], ln (empty if norm="post"), pool, head
    Forward  images (B, H, W, C), normalised floats -> logits (B, K), a score for each class
    Cache    nests like the parameters

    Arguments
        image_size: pixels, one number for a square or (height, width)
        patch_size: side of a patch in pixels; must divide height and width
        channels:   1 for grey, 3 for colour
        dim, depth, heads, mlp_dim: width D, blocks L, heads h (must divide dim), width F of the MLP
        classes:    K
        pool:       "mean", or "cls" for a class token
        positions:  "learned", fixed "sincos1d" or "sincos2d" (sinusoids.py), or None for a model
                    that cannot tell where a patch was
        norm:       "pre" (block.py), or "post" (post_norm.py), which has no layer norm at the end
        eps:        of every layer norm
        dropout:    rate, while training, at the tokens with their positions and at the end of each
                    branch of a block (Vaswani et al. 2017, section 5.4)
        drop_path:  rate of stochastic depth in the last block, to which it grows evenly
                    (Huang et al. 2016, equation 4)

    Initial values: weights from a normal cut at two standard deviations with std 1/√d_in (corrected
    for the cut); the two ways into the residual stream of a pre-norm block times 1/√(2L), so that
    the stream does not grow with depth (GPT-2, section 2.3); positions with std 0.02; head, class
    token and biases zero. A new model's logits are therefore all zero.

    Errors: ValueError or TypeError naming the value, for what cannot work.
    """

    def __init__(
        self,
        *,
        image_size,
        patch_size,
        channels,
        dim,
        depth,
        heads,
        mlp_dim,
        classes,
        pool="mean",
        positions="learned",
        norm="pre",
        eps=1e-6,
        dropout=0.0,
        drop_path=0.0,
    ):
        patch_size, channels, classes = positive_integers(
            "ViT", patch_size=patch_size, channels=channels, classes=classes
        )
        dim, depth, heads, mlp_dim = positive_integers(
            "ViT", dim=dim, depth=depth, heads=heads, mlp_dim=mlp_dim
        )
        expect_one_of("ViT", "pool", pool, ["mean", "cls"])
        expect_one_of("ViT", "positions", positions, ["learned", "sincos1d", "sincos2d", None])
        expect_one_of("ViT", "norm", norm, ["pre", "post"])
        for name, rate in {"dropout": dropout, "drop_path": drop_path}.items():
            if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
                raise ValueError(f"ViT: {name} must be at least 0 and less than 1, got {rate!r}")

        height, width = pair("ViT", "image_size", image_size)
        self.patches = Patches(height, width, patch_size, channels, dim)
        N = self.patches.count
        self.tokens = N + (pool == "cls")  # T
        # What joins the patches. Their parameters are single arrays at the top level of the nest,
        # so these layers get all of params.
        self.extras = {}
        if positions == "sincos1d":
            self.extras["pos"] = SinusoidalPositions(N, dim)
        if positions == "sincos2d":
            self.extras["pos"] = SinusoidalPositions2D(self.patches.rows, self.patches.columns, dim)
        if pool == "cls":  # after sinusoidal positions: it stands nowhere
            self.extras["cls"] = ClassToken(dim)
        if positions == "learned":
            self.extras["pos"] = Positions(self.tokens, dim)
        self.dropout = Dropout(dropout)
        rates = [(dropout, drop_path * (number / depth)) for number in range(1, depth + 1)]
        if norm == "pre":
            gain = 1 / math.sqrt(2 * depth)
            self.blocks = [PreNormBlock(dim, heads, mlp_dim, gain, eps, *rate) for rate in rates]
        else:
            self.blocks = [PostNormBlock(dim, heads, mlp_dim, eps, *rate) for rate in rates]
        self.ln = LayerNorm(dim, eps) if norm == "pre" else Identity()
        self.pool = MeanPool() if pool == "mean" else FirstToken()
        self.head = Linear(dim, classes, gain=0.0)
        self.config = dict(  # ViT(**config) is the same model
            image_size=[self.patches.height, self.patches.width],
            patch_size=patch_size,
            channels=channels,
            dim=dim,
            depth=depth,
            heads=heads,
            mlp_dim=mlp_dim,
            classes=classes,
            pool=pool,
            positions=positions,
            norm=norm,
            eps=self.blocks[0].ln1.eps,
            dropout=self.dropout.rate,
            drop_path=self.blocks[-1].drop1.path_rate,
        )

    def init(self, rng, dtype=np.float32):
        """Return the nest of initial parameters, for Params; `rng` is a np.random.Generator."""
        nest = {"patches": self.patches.init(rng, dtype)}
        for extra in self.extras.values():
            nest |= extra.init(rng, dtype)
        nest["dropout"] = self.dropout.init(rng, dtype)
        nest["blocks"] = [block.init(rng, dtype) for block in self.blocks]
        nest["ln"] = self.ln.init(rng, dtype)
        nest["pool"] = self.pool.init(rng, dtype)
        nest["head"] = self.head.init(rng, dtype)
        return nest

    def forward(self, params, images, rng=None, *, keep=True):
        """Return logits (B, K) and the cache for `backward`.

        `rng`, a np.random.Generator, is for training with dropout or stochastic depth; without it
        nothing is left out. `keep=False` is for evaluation: every block's cache is dropped at once,
        and None is returned in its place.
        """
        expect_like("ViT", "images", images, params["head"]["w"])
        cache = {"blocks": []}
        x, cache["patches"] = self.patches.forward(params["patches"], images)  # (B, N, D)
        for name, extra in self.extras.items():
            x, cache[name] = extra.forward(params, x)  # at last (B, T, D)
        x, cache["dropout"] = self.dropout.forward(params["dropout"], x, rng)  # (B, T, D)
        for block, block_params in zip(self.blocks, params["blocks"], strict=True):
            x, block_cache = block.forward(block_params, x, rng)  # (B, T, D)
            cache["blocks"].append(block_cache if keep else None)
            block_cache = None  # or an unkept cache would live on through the next block
        normed, cache["ln"] = self.ln.forward(params["ln"], x)  # (B, T, D)
        pooled, cache["pool"] = self.pool.forward(params["pool"], normed)  # (B, D)
        logits, cache["head"] = self.head.forward(params["head"], pooled)  # (B, K)
        return logits, cache if keep else None

    def backward(self, params, dlogits, cache, grads):
        """Add dLoss/dparams to `grads`; return dLoss/dimages (B, H, W, C)."""
        if cache is None:
            raise ValueError("ViT: no cache to go backward with; call forward with keep=True")
        expect_like("ViT", "dlogits", dlogits, params["head"]["w"])
        head, pool = cache["head"], cache["pool"]
        dpooled = self.head.backward(params["head"], dlogits, head, grads["head"])  # (B, D)
        dnormed = self.pool.backward(params["pool"], dpooled, pool, grads["pool"])  # (B, T, D)
        dx = self.ln.backward(params["ln"], dnormed, cache["ln"], grads["ln"])  # (B, T, D)
        blocks = zip(self.blocks, params["blocks"], cache["blocks"], grads["blocks"], strict=True)
        for block, block_params, block_cache, block_grads in reversed(list(blocks)):
            dx = block.backward(block_params, dx, block_cache, block_grads)  # (B, T, D)
        dropout = cache["dropout"]
        dx = self.dropout.backward(params["dropout"], dx, dropout, grads["dropout"])  # (B, T, D)
        for name, extra in reversed(self.extras.items()):
            dx = extra.backward(params, dx, cache[name], grads)  # at last (B, N, D)
        patches = cache["patches"]
        dimages = self.patches.backward(params["patches"], dx, patches, grads["patches"])
        return dimages  # (B, H, W, C)
