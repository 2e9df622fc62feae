"""Paint what is missing: a masked autoencoder (He et al. 2021, arXiv:2111.06377)."""

from typing import Any

import numpy as np

from ..backend import Array
from ..layers import FillTokens, LayerNorm, Linear, PreNormBlock, SinusoidalPositions2D
from ..layers.keep_tokens import draw_places
from ..layers.patches import cut_patches
from ..layers.refusals import expect_like, positive_integers
from ..losses import reconstruction
from ..params import Nest, Params
from .encoder import Encoder


class Decoder:
    """From the tokens that were seen to all patches: a small transformer, thrown away afterwards.

        tokens → narrowed → mask tokens at the places that are missing → positions → blocks
               → layer norm → head → painted

    Params   narrow {w, b}, fill {mask}, blocks, ln {w, b}, head {w (E, P·P·C + 2), b (P·P·C + 2,)}
    Forward  tokens (B, M, D), places (B, M) -> painted (B, N, P·P·C + 2); E is the decoder's width
    Cache    narrow, fill, pos, blocks, ln, head: the caches of the layers

    A mask token is the same everywhere, so the positions say what is to be painted where.
    """

    def __init__(self, grid, d_in, d_out, *, dim, depth, heads, eps, activation):
        rows, columns = grid
        self.narrow = Linear(d_in, dim)
        self.fill = FillTokens(rows * columns, dim)
        self.pos = SinusoidalPositions2D(rows, columns, dim)
        sizes = dict(mlp_dim=2 * dim, gain=(2 * depth) ** -0.5, eps=eps, activation=activation)
        self.blocks = [PreNormBlock(dim, heads, **sizes) for _ in range(depth)]
        self.ln = LayerNorm(dim, eps)
        self.head = Linear(dim, d_out)

    def init(self, rng, dtype=np.float32):
        return {
            "narrow": self.narrow.init(rng, dtype),
            "fill": self.fill.init(rng, dtype),
            "blocks": [block.init(rng, dtype) for block in self.blocks],
            "ln": self.ln.init(rng, dtype),
            "head": self.head.init(rng, dtype),
        }

    def forward(self, params, tokens, places=None, *, keep=True):
        cache = {"blocks": []}
        x, cache["narrow"] = self.narrow.forward(params["narrow"], tokens)  # (B, M, E)
        x, cache["fill"] = self.fill.forward(params["fill"], x, places=places)  # (B, N, E)
        x, cache["pos"] = self.pos.forward({}, x)  # (B, N, E)
        for block, block_params in zip(self.blocks, params["blocks"], strict=True):
            x, block_cache = block.forward(block_params, x)  # (B, N, E)
            cache["blocks"].append(block_cache if keep else None)
            block_cache = None
        x, cache["ln"] = self.ln.forward(params["ln"], x)  # (B, N, E)
        painted, cache["head"] = self.head.forward(params["head"], x)  # (B, N, P·P·C + 2)
        return painted, cache

    def backward(self, params, dpainted, cache, grads):
        if None in cache["blocks"]:
            raise ValueError("Masked: the cache was not kept; call forward with keep=True")
        dx = self.head.backward(params["head"], dpainted, cache["head"], grads["head"])
        dx = self.ln.backward(params["ln"], dx, cache["ln"], grads["ln"])  # (B, N, E)
        blocks = zip(self.blocks, params["blocks"], cache["blocks"], grads["blocks"], strict=True)
        for block, block_params, block_cache, block_grads in reversed(list(blocks)):
            dx = block.backward(block_params, dx, block_cache, block_grads)  # (B, N, E)
        dx = self.pos.backward({}, dx, cache["pos"], {})  # (B, N, E)
        dx = self.fill.backward(params["fill"], dx, cache["fill"], grads["fill"])  # (B, M, E)
        dtokens = self.narrow.backward(params["narrow"], dx, cache["narrow"], grads["narrow"])
        return dtokens  # (B, M, D)


class Masked(Encoder):
    """The encoder sees a few patches of an image; a small decoder paints the others.

        images → patches → positions → a few of them → blocks → tokens → decoder → painted

    Params   those of the encoder, and decoder
    Forward  images (B, H, W, C), places (B, M) -> painted (B, N, P·P·C + 2)
    Cache    those of the encoder, and decoder

    Arguments
        seen: share of the patches that the encoder sees
        decoder_dim, decoder_depth, decoder_heads: width E, blocks and heads of the decoder
        and those of the Encoder, but for class_token

    Positions are added before patches are dropped, so what is seen knows where it is. The encoder
    never meets a mask token: it works on whole images later, where there are none.
    """

    def __init__(
        self,
        *,
        seen: float = 0.25,
        decoder_dim: int = 64,
        decoder_depth: int = 2,
        decoder_heads: int = 2,
        **encoder: Any,
    ) -> None:
        if isinstance(seen, bool) or not 0 < seen < 1:
            raise ValueError(f"Masked: seen must be more than 0 and less than 1, got {seen!r}")
        super().__init__(**encoder)
        if self.config["positions"] == "rotary":
            raise ValueError("Masked: rotary positions count all tokens, and only some are seen")
        del self.config["class_token"]
        self.seen = float(seen)
        decoder_dim, decoder_depth, decoder_heads = positive_integers(
            "Masked", decoder_dim=decoder_dim, decoder_depth=decoder_depth,
            decoder_heads=decoder_heads,
        )  # fmt: skip
        grid = self.patches.rows, self.patches.columns
        numbers = self.patches.linear.d_in + 2  # of a patch, its mean and std
        sizes = dict(dim=decoder_dim, depth=decoder_depth, heads=decoder_heads)
        sizes |= {name: self.config[name] for name in ("eps", "activation")}
        self.decoder = Decoder(grid, self.config["dim"], numbers, **sizes)
        self.config |= dict(
            seen=self.seen, decoder_dim=decoder_dim, decoder_depth=decoder_depth,
            decoder_heads=decoder_heads,
        )  # fmt: skip

    def init(self, rng: "np.random.Generator", dtype: type | np.dtype = np.float32) -> Nest:
        return super().init(rng, dtype) | {"decoder": self.decoder.init(rng, dtype)}

    def draw(self, rng: "np.random.Generator", images: int) -> np.ndarray:
        """Draw the places that the encoder sees of so many images, (images, M)."""
        return draw_places(rng, images, self.patches.count, self.seen)

    def forward(
        self,
        params: Params | Nest,
        images: Array,
        rng: "np.random.Generator | None" = None,
        *,
        keep: bool = True,
        places: np.ndarray | None = None,
    ) -> tuple[Array, Any]:
        """Return what is painted, (B, N, P·P·C + 2), and the cache for `backward`.

        places: what `draw` has drawn; without them they are drawn with the rng, or not at all, so
                that the encoder sees every patch
        """
        if places is None and rng is not None:
            places = self.draw(rng, len(images))
        tokens, cache = super().forward(params, images, rng, keep=keep, places=places)  # (B, M, D)
        painted, cache["decoder"] = self.decoder.forward(
            params["decoder"], tokens, places, keep=keep
        )  # (B, N, P·P·C + 2)
        return painted, cache

    def backward(
        self, params: Params | Nest, dpainted: Array, cache: Any, grads: Params | Nest
    ) -> Array:
        """Add dLoss/dparams to `grads`; return dLoss/dimages (B, H, W, C)."""
        expect_like("Masked", "dpainted", dpainted, params["patches"]["w"])
        dtokens = self.decoder.backward(
            params["decoder"], dpainted, cache["decoder"], grads["decoder"]
        )  # (B, M, D)
        return super().backward(params, dtokens, cache, grads)  # (B, H, W, C)

    def grade(
        self, painted: Array, images: Array, places: np.ndarray, smoothing: float = 0.0
    ) -> tuple[np.floating, Array, np.floating, int]:
        """Return the loss, dpainted, and of how many images how much is explained.

        painted: what `forward` returned for these images and places
        smoothing: not used, as there are no classes
        Of an image 1 − loss is explained: 1 of a perfect painting, 0 of one that paints zeros.
        """
        patches = cut_patches(images, self.patches.patch_size)  # (B, N, P·P·C)
        loss, dpainted = reconstruction(painted, patches, places)
        return loss, dpainted, (1 - loss) * len(images), len(images)
