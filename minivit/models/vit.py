"""The Vision Transformer (Dosovitskiy et al. 2020, arXiv:2010.11929, figure 1)."""

from typing import Any

import numpy as np

from ..backend import Array
from ..layers import FirstToken, Linear, MeanPool
from ..layers.refusals import expect_like, expect_one_of, positive_integers
from ..params import Nest, Params
from .encoder import Encoder


class ViT(Encoder):
    """An encoder whose tokens' mean, or whose class token, is read by a linear head.

        images → encoder → tokens → pool → head → logits

    Params   those of the encoder, and head {w (D, K), b (K,)}
    Forward  images (B, H, W, C), normalised floats -> logits (B, K), a score for each class
    Cache    those of the encoder, pool and head

    Arguments
        classes: K
        pool:    "mean", or "cls" for a class token
        and those of the Encoder, but for class_token

    The head starts at zero, so a new model's logits are all zero.
    """

    def __init__(self, *, classes: int, pool: str = "mean", **encoder: Any) -> None:
        expect_one_of("ViT", "pool", pool, ["mean", "cls"])
        (classes,) = positive_integers("ViT", classes=classes)
        super().__init__(class_token=pool == "cls", **encoder)
        self.pool = FirstToken() if self.config.pop("class_token") else MeanPool()
        self.head = Linear(self.config["dim"], classes, gain=0.0)
        self.config |= dict(classes=classes, pool=pool)

    def init(self, rng: "np.random.Generator", dtype: type | np.dtype = np.float32) -> Nest:
        nest = super().init(rng, dtype)
        nest["head"] = self.head.init(rng, dtype)
        return nest

    def forward(
        self,
        params: Params | Nest,
        images: Array,
        rng: "np.random.Generator | None" = None,
        *,
        keep: bool = True,
    ) -> tuple[Array, Any]:
        """Return logits (B, K) and the cache for `backward`, or None with `keep=False`."""
        tokens, cache = super().forward(params, images, rng, keep=keep)  # (B, T, D)
        pooled, cache["pool"] = self.pool.forward(tokens)  # (B, D)
        logits, cache["head"] = self.head.forward(params["head"], pooled)  # (B, K)
        return logits, cache if keep else None

    def backward(
        self, params: Params | Nest, dlogits: Array, cache: Any, grads: Params | Nest
    ) -> Array:
        """Add dLoss/dparams to `grads`; return dLoss/dimages (B, H, W, C)."""
        if cache is None:
            raise ValueError("ViT: the cache was not kept; call forward with keep=True")
        expect_like("ViT", "dlogits", dlogits, params["head"]["w"])
        dpooled = self.head.backward(params["head"], dlogits, cache["head"], grads["head"])
        dtokens = self.pool.backward(dpooled, cache["pool"])  # (B, T, D)
        dimages = super().backward(params, dtokens, cache, grads)  # (B, H, W, C)
        return dimages
