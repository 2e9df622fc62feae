"""The whole transformer, from one sequence to another (Vaswani et al. 2017, arXiv:1706.03762)."""

import math
from typing import Any

import numpy as np

from ..backend import Array
from ..layers import Dropout, Embedding, LayerNorm, PreNormBlock, SinusoidalPositions
from ..layers.refusals import positive_integers
from ..params import Nest, Params
from .decoder import Decoder


class Seq2Seq:
    """An encoder for what is given, a decoder for what is to be written; both of tokens.

        source → embed → positions → dropout → blocks → ln → memory
        tokens so far, memory → decoder → logits of the next token

    Params   embed {w (V, D)}, blocks, ln {w, b}, decoder
    Forward  source (B, S), tokens (B, T), both integers -> logits (B, T, V)
    Cache    embed, pos, dropout, blocks, ln, decoder: the caches of the layers

    Arguments
        words:  V, of which there are token numbers, on both sides
        source: S, the number of tokens that are given
        length: T, the most tokens of a text, with its begin
        dim, depth, heads, mlp_dim, dropout: of the encoder and of the decoder, as in a Decoder

    The encoder is that of a ViT: only what comes before its blocks differs, tokens in place of
    patches. So reader.py is the same model for pictures, and there is no gradient for the source:
    an integer has no slope.
    """

    def __init__(
        self,
        *,
        words: int,
        source: int,
        length: int,
        dim: int,
        depth: int,
        heads: int,
        mlp_dim: int,
        dropout: float = 0.0,
    ) -> None:
        words, source, length, dim, depth, heads, mlp_dim = positive_integers(
            "Seq2Seq", words=words, source=source, length=length, dim=dim, depth=depth,
            heads=heads, mlp_dim=mlp_dim,
        )  # fmt: skip
        self.embed = Embedding(words, dim)
        self.pos = SinusoidalPositions(source, dim)
        self.dropout = Dropout(dropout)
        gain = 1 / math.sqrt(2 * depth)
        self.blocks = [
            PreNormBlock(dim, heads, mlp_dim, gain, dropout=dropout) for _ in range(depth)
        ]
        self.ln = LayerNorm(dim)
        sizes: dict[str, Any] = dict(words=words, length=length, dim=dim, depth=depth, heads=heads)
        sizes |= dict(mlp_dim=mlp_dim, dropout=self.dropout.rate)
        self.decoder = Decoder(**sizes)
        self.config = sizes | dict(source=source)  # type(self)(**config) is the same model

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.config.items())
        return f"{type(self).__name__}({arguments})"

    def init(self, rng: "np.random.Generator", dtype: type | np.dtype = np.float32) -> Nest:
        """Return the nest of initial parameters, for Params; `rng` is a np.random.Generator."""
        return {
            "embed": self.embed.init(rng, dtype),
            "blocks": [block.init(rng, dtype) for block in self.blocks],
            "ln": self.ln.init(rng, dtype),
            "decoder": self.decoder.init(rng, dtype),
        }

    def forward(
        self,
        params: Params | Nest,
        source: np.ndarray,
        tokens: np.ndarray,
        rng: "np.random.Generator | None" = None,
    ) -> tuple[Array, Any]:
        """Return logits (B, T, V), row t for what follows the tokens 0 to t, and the cache."""
        memory, cache = self.encode(params, source, rng)  # (B, S, D)
        logits, cache["decoder"] = self.decoder.forward(
            params["decoder"], tokens, memory, rng=rng
        )  # (B, T, V)
        return logits, cache

    def encode(
        self, params: Params | Nest, source: np.ndarray, rng: "np.random.Generator | None" = None
    ) -> tuple[Array, Any]:
        """Return the memory (B, S, D), and its part of the cache."""
        cache: dict[str, Any] = {"blocks": []}
        words, cache["embed"] = self.embed.forward(params["embed"], source)  # (B, S, D)
        placed, cache["pos"] = self.pos.forward({}, words)  # (B, S, D)
        x, cache["dropout"] = self.dropout.forward(placed, rng)  # (B, S, D)
        for block, block_params in zip(self.blocks, params["blocks"], strict=True):
            x, block_cache = block.forward(block_params, x, rng)  # (B, S, D)
            cache["blocks"].append(block_cache)
        memory, cache["ln"] = self.ln.forward(params["ln"], x)  # (B, S, D)
        return memory, cache

    def backward(
        self, params: Params | Nest, dlogits: Array, cache: Any, grads: Params | Nest
    ) -> None:
        """Add dLoss/dparams to `grads`."""
        dmemory = self.decoder.backward(
            params["decoder"], dlogits, cache["decoder"], grads["decoder"]
        )  # (B, S, D)
        dx = self.ln.backward(params["ln"], dmemory, cache["ln"], grads["ln"])  # (B, S, D)
        blocks = zip(self.blocks, params["blocks"], cache["blocks"], grads["blocks"], strict=True)
        for block, block_params, block_cache, block_grads in reversed(list(blocks)):
            dx = block.backward(block_params, dx, block_cache, block_grads)  # (B, S, D)
        dplaced = self.dropout.backward(dx, cache["dropout"])  # (B, S, D)
        dwords = self.pos.backward({}, dplaced, cache["pos"], {})  # (B, S, D)
        self.embed.backward(params["embed"], dwords, cache["embed"], grads["embed"])
