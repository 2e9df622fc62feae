"""The Vision Transformer (Dosovitskiy et al. 2020, arXiv:2010.11929, figure 1)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import Array
from ..layers import (
    FirstToken,
    Identity,
    LayerNorm,
    Linear,
    MeanPool,
    PatchMeanPool,
    PreLogits,
    Stem,
)
from ..layers.refusals import expect_like, expect_one_of, pair, positive_integers
from ..params import Nest, Params
from .encoder import Encoder

POOLS: dict[str, Any] = {"mean": MeanPool, "cls": FirstToken, "patch_mean": PatchMeanPool}


class ViT(Encoder):
    """An encoder whose tokens' mean, or whose class token, is read by a linear head.

        images (→ stem) → encoder → tokens → pool → head → logits

    Params   those of the encoder, and head {w (D, K), b (K,)}; if asked for, stem, pooled_ln,
             pre_logits
    Forward  images (B, H, W, C), normalised floats -> logits (B, K), a score for each class
    Cache    those of stem, encoder, pool, pooled_ln, pre_logits and head

    Arguments
        classes:     K; 0 for a model without head, which returns the pooled features (B, D)
        pool:        "mean" of all tokens; or with a class token, "cls" to read it, or "patch_mean"
                     for the mean of the others
        norm_pooled: whether the last layer norm comes after the pooling, instead of before
        pre_logits:  width of a hidden layer before the head (pre_logits.py), or None for none
        stem:        convolutions before the patches (stem.py), each (kernel, stride, dim); patches
                     are then cut from what the last of them gives
        and those of the Encoder, but for class_token

    The head starts at zero, so a new model's logits are all zero.
    """

    def __init__(
        self,
        *,
        classes: int,
        pool: str = "mean",
        norm_pooled: bool = False,
        pre_logits: int | None = None,
        stem: Sequence[Sequence[int]] = (),
        image_size: int | Sequence[int],
        channels: int,
        **encoder: Any,
    ) -> None:
        expect_one_of("ViT", "pool", pool, list(POOLS))
        if classes != 0 or isinstance(classes, bool):
            (classes,) = positive_integers("ViT", classes=classes)
        height, width = pair("ViT", "image_size", image_size)
        height, width, channels = positive_integers(
            "ViT", height=height, width=width, channels=channels
        )
        before = Stem(height, width, channels, stem)
        seen = dict(image_size=(before.rows, before.columns), channels=before.dim)
        super().__init__(class_token=pool != "mean", **seen, **encoder)
        del self.config["class_token"]
        self.stem: Stem | Identity = before if before.convs else Identity()
        self.numbers = max(self.numbers, before.numbers)
        self.most_numbers = max(self.most_numbers, before.numbers)
        self.pool = POOLS[pool]()
        self.pooled_ln: LayerNorm | Identity = Identity()
        if norm_pooled:
            self.ln, self.pooled_ln = self.pooled_ln, self.ln
        features = self.config["dim"]
        self.pre_logits: PreLogits | Identity = Identity()
        if pre_logits is not None:
            (features,) = positive_integers("ViT", pre_logits=pre_logits)
            self.pre_logits = PreLogits(self.config["dim"], features)
        self.head = Linear(features, classes, gain=0.0) if classes else Identity()
        self.config |= dict(
            image_size=[height, width], channels=channels, classes=classes,
            pool=pool, norm_pooled=bool(norm_pooled), pre_logits=pre_logits,
            stem=[[conv.kernel, conv.stride, conv.linear.d_out] for conv in before.convs],
        )  # fmt: skip

    def init(self, rng: "np.random.Generator", dtype: type | np.dtype = np.float32) -> Nest:
        nest: Nest = {"stem": self.stem.init(rng, dtype)} | super().init(rng, dtype)
        nest["pooled_ln"] = self.pooled_ln.init(rng, dtype)
        nest["pre_logits"] = self.pre_logits.init(rng, dtype)
        nest["head"] = self.head.init(rng, dtype)
        return nest

    def forward(
        self,
        params: Params | Nest,
        images: Array,
        rng: "np.random.Generator | None" = None,
        *,
        keep: bool = True,
        places: Array | None = None,
    ) -> tuple[Array, Any]:
        """Return logits (B, K) and the cache for `backward`, or None with `keep=False`.

        places: of the tokens that go through the blocks, with the class token's, 0, first
        """
        expect_like("ViT", "images", images, params["patches"]["w"])
        seen, stem_cache = self.stem.forward(params["stem"], images)
        tokens, cache = super().forward(params, seen, rng, keep=keep, places=places)  # (B, T, D)
        cache["stem"] = stem_cache
        pooled, cache["pool"] = self.pool.forward(tokens)  # (B, D)
        normed, cache["pooled_ln"] = self.pooled_ln.forward(params["pooled_ln"], pooled)  # (B, D)
        features, cache["pre_logits"] = self.pre_logits.forward(params["pre_logits"], normed)
        logits, cache["head"] = self.head.forward(params["head"], features)  # (B, K)
        return logits, cache if keep else None

    def backward(
        self, params: Params | Nest, dlogits: Array, cache: Any, grads: Params | Nest
    ) -> Array:
        """Add dLoss/dparams to `grads`; return dLoss/dimages (B, H, W, C)."""
        if cache is None:
            raise ValueError("ViT: the cache was not kept; call forward with keep=True")
        expect_like("ViT", "dlogits", dlogits, params["patches"]["w"])
        dfeatures = self.head.backward(params["head"], dlogits, cache["head"], grads["head"])
        dnormed = self.pre_logits.backward(
            params["pre_logits"], dfeatures, cache["pre_logits"], grads["pre_logits"]
        )
        dpooled = self.pooled_ln.backward(
            params["pooled_ln"], dnormed, cache["pooled_ln"], grads["pooled_ln"]
        )  # (B, D)
        dtokens = self.pool.backward(dpooled, cache["pool"])  # (B, T, D)
        dseen = super().backward(params, dtokens, cache, grads)
        dimages = self.stem.backward(params["stem"], dseen, cache["stem"], grads["stem"])
        return dimages  # (B, H, W, C)
