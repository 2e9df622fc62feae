"""A small convolutional network (LeCun et al. 1998), to compare a Vision Transformer with."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import Array
from ..html import table
from ..layers import Halve, Linear, MeanPool, Stage
from ..layers.refusals import expect_like, pair, positive_integers
from ..params import Nest, Params


class CNN:
    """Each stage looks further around a pixel than the last; a head reads the mean of all pixels.

        images → stage → halve → stage → … → stage → pool → head → logits

    Params   stages [conv {w, b}, ln {w, b}], head {w (D, K), b (K,)}
    Forward  images (B, H, W, C), normalised floats -> logits (B, K)
    Cache    stages, halve, pool, head: the caches of the layers

    Arguments
        image_size, channels, classes: as those of a ViT
        dims: the features of each stage

    What it knows and a ViT has to learn: neighbours belong together, and what holds in one place
    holds in all. What a ViT can and it cannot: let two far pixels meet in the first block. The head
    starts at zero, as that of a ViT does.
    Errors: ValueError or TypeError naming the value that cannot work.
    """

    def __init__(
        self,
        *,
        image_size: int | Sequence[int],
        channels: int,
        classes: int,
        dims: Sequence[int] = (32, 64, 128),
    ) -> None:
        height, width = pair("CNN", "image_size", image_size)
        height, width, channels, classes = positive_integers(
            "CNN", height=height, width=width, channels=channels, classes=classes
        )
        halvings = len(dims) - 1
        if height % 2**halvings or width % 2**halvings:
            raise ValueError(
                f"CNN: {height} x {width} pixels cannot be halved {halvings} times, between "
                f"{len(dims)} stages; choose sides divisible by {2**halvings}, or fewer dims"
            )
        self.stages = [
            Stage(before, dim) for before, dim in zip([channels, *dims], dims, strict=False)
        ]
        self.halve, self.pool = Halve(), MeanPool()
        self.head = Linear(dims[-1], classes, gain=0.0)
        self.numbers = self.most_numbers = height * width * dims[0]
        self.config: dict[str, Any] = dict(
            image_size=[height, width], channels=channels, classes=classes, dims=list(dims)
        )

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.config.items())
        return f"CNN({arguments})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the arguments."""
        caption = f"CNN: {len(self.stages)} stages"
        return table(caption, ["argument", "value"], self.config.items())

    def init(self, rng: "np.random.Generator", dtype: type | np.dtype = np.float32) -> Nest:
        """Return the nest of initial parameters, for Params; `rng` is a np.random.Generator."""
        return {
            "stages": [stage.init(rng, dtype) for stage in self.stages],
            "head": self.head.init(rng, dtype),
        }

    def forward(
        self,
        params: Params | Nest,
        images: Array,
        rng: "np.random.Generator | None" = None,
        *,
        keep: bool = True,
    ) -> tuple[Array, Any]:
        """Return logits (B, K) and the cache for `backward`, or None with `keep=False`.

        rng: not used, as nothing is drawn at random
        """
        expect_like("CNN", "images", images, params["head"]["w"])
        cache: dict[str, Any] = {"stages": [], "halve": []}
        x = images
        for number, stage in enumerate(self.stages):
            if number:
                x, halve_cache = self.halve.forward(x)
                cache["halve"].append(halve_cache)
            x, stage_cache = stage.forward(params["stages"][number], x)
            cache["stages"].append(stage_cache if keep else None)
            stage_cache = None  # or an unkept cache would live on through the next stage
        cache["grid"] = x.shape
        tokens = x.reshape(len(x), -1, x.shape[-1])  # (B, T, D)
        pooled, cache["pool"] = self.pool.forward(tokens)  # (B, D)
        logits, cache["head"] = self.head.forward(params["head"], pooled)  # (B, K)
        return logits, cache if keep else None

    def backward(
        self, params: Params | Nest, dlogits: Array, cache: Any, grads: Params | Nest
    ) -> Array:
        """Add dLoss/dparams to `grads`; return dLoss/dimages (B, H, W, C)."""
        if cache is None:
            raise ValueError("CNN: the cache was not kept; call forward with keep=True")
        dpooled = self.head.backward(params["head"], dlogits, cache["head"], grads["head"])
        dtokens = self.pool.backward(dpooled, cache["pool"])  # (B, T, D)
        dx = dtokens.reshape(cache["grid"])
        for number in reversed(range(len(self.stages))):
            of_stage = params["stages"][number], dx, cache["stages"][number]
            dx = self.stages[number].backward(*of_stage, grads["stages"][number])
            if number:
                dx = self.halve.backward(dx, cache["halve"][number - 1])
        return dx  # (B, H, W, C)
