"""Where was each patch? (Noroozi and Favaro, arXiv:1603.09246; Zhai et al., arXiv:2207.07611.)"""

from typing import Any

import numpy as np

from ..backend import Array, array_module, beside
from ..layers import Linear, Twice
from ..layers.patches import cut_patches
from ..layers.refusals import expect_like
from ..losses import cross_entropy
from ..params import Nest, Params
from .encoder import Encoder


class Permutation(Encoder):
    """A jigsaw: an image's patches come shuffled, and each token has to say where it was.

        images → patches → shuffled, a few with their positions → blocks → tokens → head → logits

    Params   those of the encoder, and head {w (D, N), b (N,)}
    Forward  images (B, H, W, C), places (B, N) -> logits (B, A, N): a score for each place, of the
             A tokens that come first, the ones without a position
    Cache    those of the encoder, and head

    Arguments
        shown: share of the patches that know where they are, and are the frame of the jigsaw
        and those of the Encoder, but for class_token

    Nothing tells a token where it is but what it sees in the others, so the blocks must learn what
    belongs beside what. A class token is not needed for that.
    """

    def __init__(self, *, shown: float = 0.0, **encoder: Any) -> None:
        if isinstance(shown, bool) or not 0 <= shown < 1:
            raise ValueError(
                f"Permutation: shown must be at least 0 and less than 1, got {shown!r}"
            )
        super().__init__(**encoder)
        if self.config["positions"] in (None, "rotary"):
            raise ValueError(
                "Permutation: positions are what some of the patches are shown by; expected some "
                f"that are added to them, got {self.config['positions']!r}"
            )
        del self.config["class_token"]
        self.config["shown"] = float(shown)
        self.places = self.patches.count  # N
        self.asked = max(1, self.places - round(shown * self.places))  # A
        self.pos = Twice(self.pos)
        self.head = Linear(self.config["dim"], self.places)

    def init(self, rng: "np.random.Generator", dtype: type | np.dtype = np.float32) -> Nest:
        return super().init(rng, dtype) | {"head": self.head.init(rng, dtype)}

    def draw(self, rng: "np.random.Generator | None", images: int) -> np.ndarray:
        """Draw the places of the shuffled patches of so many images, (images, N).

        Those that come after the first A know where they are: to their places N is added (Twice).
        Without an rng the patches stay in their order.
        """
        places = np.tile(np.arange(self.places), (images, 1))  # (B, N)
        if rng is not None:
            places = rng.permuted(places, axis=1)
        places[:, self.asked :] += self.places
        return places

    def forward(
        self,
        params: Params | Nest,
        images: Array,
        rng: "np.random.Generator | None" = None,
        *,
        keep: bool = True,
        places: np.ndarray | None = None,
    ) -> tuple[Array, Any]:
        """Return logits (B, A, N) and the cache for `backward`.

        places: what `draw` has drawn; without them they are drawn with the rng, or not at all, so
                that the patches come in their order
        """
        if places is None:
            places = self.draw(rng, len(images))
        tokens, cache = super().forward(params, images, rng, keep=keep, places=places)  # (B, N, D)
        asked = tokens[:, : self.asked]  # (B, A, D)
        logits, cache["head"] = self.head.forward(params["head"], asked)  # (B, A, N)
        return logits, cache

    def backward(
        self, params: Params | Nest, dlogits: Array, cache: Any, grads: Params | Nest
    ) -> Array:
        """Add dLoss/dparams to `grads`; return dLoss/dimages (B, H, W, C)."""
        expect_like("Permutation", "dlogits", dlogits, params["patches"]["w"])
        dasked = self.head.backward(params["head"], dlogits, cache["head"], grads["head"])
        shape = len(dasked), self.places, self.config["dim"]
        dtokens = array_module(dasked).zeros(shape, dasked.dtype)  # (B, N, D)
        dtokens[:, : self.asked] = dasked
        return super().backward(params, dtokens, cache, grads)  # (B, H, W, C)

    def grade(
        self, logits: Array, images: Array, places: np.ndarray, smoothing: float = 0.0
    ) -> tuple[np.floating, Array, Array, Array]:
        """Return the loss, dlogits, how many patches are put right, and how many are asked for.

        logits: what `forward` returned for these images and places
        The two counts leave out blank patches: of several, nobody could say which is which.
        """
        B, A, N = logits.shape
        rows = logits.reshape(B * A, N)  # (B·A, N)
        loss, drows = cross_entropy(rows, places[:, :A].reshape(B * A), smoothing=smoothing)
        dlogits = drows.reshape(B, A, N)  # (B, A, N)
        right, counted = self.right(logits, images, places)
        return loss, dlogits, right.sum(), counted.sum()

    def right(self, logits: Array, images: Array, places: np.ndarray) -> tuple[Array, Array]:
        """Return whether each patch is put right and counts, and whether it counts: 2 x (B, A).

        It does not if it is blank, which is to say that all its pixels are equal.
        """
        xp, true = array_module(logits), beside(places[:, : self.asked], logits)  # (B, A)
        patches = cut_patches(images, self.patches.patch_size)  # (B, N, P·P·C)
        pixels = patches.reshape(*patches.shape[:2], -1, self.patches.channels)  # (B, N, P·P, C)
        ink = (pixels.max(axis=2) != pixels.min(axis=2)).any(axis=-1)  # (B, N)
        counted = ink[xp.arange(len(images))[:, None], true]  # (B, A)
        right = (logits.argmax(axis=-1) == true) & counted  # (B, A)
        return right, counted
