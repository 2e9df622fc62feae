"""The decoder: from the tokens so far to the next one (Vaswani et al. 2017, arXiv:1706.03762)."""

import math
from typing import Any

import numpy as np

from ..backend import Array, array_module
from ..layers import (
    CausalBlock,
    Dropout,
    Embedding,
    Identity,
    LayerNorm,
    Linear,
    PostNormDecoderBlock,
    PreNormDecoderBlock,
)
from ..layers.refusals import expect_one_of, expect_shape, positive_integers
from ..layers.sinusoids import sinusoids
from ..params import Nest, Params

BLOCKS: dict[str, Any] = {"pre": PreNormDecoderBlock, "post": PostNormDecoderBlock}


class Decoder:
    """Says at every place of a text which token comes next; it sees those before it, and a memory.

        tokens → embed → positions → dropout → blocks, which look at the memory → ln → logits

    Params   embed {w (V, D)}, blocks, ln {w, b}, head {w (D, V), b (V,)}; head is empty if its
             weights are those of embed, ln if norm="post"
    Forward  tokens (B, T) integers, memory (B, S, D) or None -> logits (B, T, V)
    Cache    embed, dropout, blocks, ln, head: the caches of the layers

    Arguments
        words:     V, of which there are token numbers
        length:    the most tokens, T, that it may be given
        dim, depth, heads, mlp_dim: width D, blocks L, heads h (must divide dim), width F of the MLP
        norm:      "pre" or "post", see the blocks
        positions: "sincos1d", added to the tokens (sinusoids.py), or "rotary" (rotary.py)
        memory:    whether there is another sequence to look at; without it, a language model
        shared:    whether the embedding's w is the head's as well (section 3.4 of the paper)
        eps, dropout: as in an Encoder

    What it says at place t depends on the tokens 0 to t only. So one pass over a text that is known
    teaches all of its places at once (teacher forcing), and while a text is written, `step` needs
    to work on the newest token alone: of the others it keeps keys and values.

    Errors: ValueError or TypeError naming the value that cannot work.
    """

    def __init__(
        self,
        *,
        words: int,
        length: int,
        dim: int,
        depth: int,
        heads: int,
        mlp_dim: int,
        norm: str = "pre",
        positions: str = "sincos1d",
        memory: bool = True,
        shared: bool = True,
        eps: float = 1e-6,
        dropout: float = 0.0,
    ) -> None:
        words, self.length, dim, depth, heads, mlp_dim = positive_integers(
            "Decoder", words=words, length=length, dim=dim, depth=depth, heads=heads,
            mlp_dim=mlp_dim,
        )  # fmt: skip
        expect_one_of("Decoder", "norm", norm, ["pre", "post"])
        expect_one_of("Decoder", "positions", positions, ["sincos1d", "rotary"])
        self.dim, self.words, self.positions, self.memory = dim, words, positions, bool(memory)
        self.embed = Embedding(words, dim)
        self.dropout = Dropout(dropout)
        if norm == "post" and not memory:
            raise ValueError('Decoder: norm="post" is for a decoder with a memory; expected "pre"')
        sizes = dict(eps=eps, dropout=dropout, rotary=positions == "rotary")
        branches = 3 if memory else 2  # of a block, each of which adds to the residual stream
        if norm == "pre":
            sizes["gain"] = 1 / math.sqrt(branches * depth)
        kind = BLOCKS[norm] if memory else CausalBlock
        self.blocks: list[Any] = [kind(dim, heads, mlp_dim, **sizes) for _ in range(depth)]
        self.ln = LayerNorm(dim, eps) if norm == "pre" else Identity()
        self.head = Identity() if shared else Linear(dim, words)
        self.shared = bool(shared)
        self.config = dict(  # type(self)(**config) is the same model; all of it can be JSON
            words=words, length=self.length, dim=dim, depth=depth, heads=heads, mlp_dim=mlp_dim,
            norm=norm, positions=positions, memory=self.memory, shared=self.shared,
            eps=self.blocks[0].ln1.eps, dropout=self.dropout.rate,
        )  # fmt: skip

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.config.items())
        return f"{type(self).__name__}({arguments})"

    def init(self, rng: "np.random.Generator", dtype: type | np.dtype = np.float32) -> Nest:
        """Return the nest of initial parameters, for Params; `rng` is a np.random.Generator."""
        return {
            "embed": self.embed.init(rng, dtype),
            "blocks": [block.init(rng, dtype) for block in self.blocks],
            "ln": self.ln.init(rng, dtype),
            "head": self.head.init(rng, dtype),
        }

    def forward(
        self,
        params: Params | Nest,
        tokens: np.ndarray,
        memory: Array | None = None,
        memory_lengths: np.ndarray | None = None,
        rng: "np.random.Generator | None" = None,
        *,
        keep: bool = True,
    ) -> tuple[Array, Any]:
        """Return logits (B, T, V), row t for what follows the tokens 0 to t, and the cache.

        memory_lengths: (B,) integers, how many tokens of each memory are no padding; None for all
        rng:            for training with dropout; without it nothing is left out
        keep:           False for evaluation: each block's cache is dropped at once
        The places of a text behind its end may hold anything: no earlier one sees them.
        """
        self._expect_fit(tokens, memory)
        cache: dict[str, Any] = {"blocks": []}
        words, cache["embed"] = self.embed.forward(params["embed"], tokens)  # (B, T, D)
        placed = words + self._places(words, 0)  # (B, T, D)
        x, cache["dropout"] = self.dropout.forward(placed, rng)  # (B, T, D)
        for block, block_params in zip(self.blocks, params["blocks"], strict=True):
            if self.memory:
                x, block_cache = block.forward(
                    block_params, x, memory, memory_lengths=memory_lengths, rng=rng
                )  # (B, T, D)
            else:
                x, block_cache = block.forward(block_params, x, rng=rng)  # (B, T, D)
            cache["blocks"].append(block_cache if keep else None)
            block_cache = None  # or an unkept cache would live on through the next block
        normed, cache["ln"] = self.ln.forward(params["ln"], x)  # (B, T, D)
        if self.shared:
            logits, cache["head"] = self.embed.logits(params["embed"], normed)  # (B, T, V)
        else:
            logits, cache["head"] = self.head.forward(params["head"], normed)  # (B, T, V)
        return logits, cache if keep else None

    def backward(
        self, params: Params | Nest, dlogits: Array, cache: Any, grads: Params | Nest
    ) -> Any:
        """Add dLoss/dparams to `grads`; return dLoss/dmemory (B, S, D), or None without memory."""
        if cache is None:
            raise ValueError("Decoder: the cache was not kept; call forward with keep=True")
        if self.shared:
            dnormed = self.embed.logits_backward(
                params["embed"], dlogits, cache["head"], grads["embed"]
            )  # (B, T, D)
        else:
            dnormed = self.head.backward(params["head"], dlogits, cache["head"], grads["head"])
        dx = self.ln.backward(params["ln"], dnormed, cache["ln"], grads["ln"])  # (B, T, D)
        dmemory = None
        blocks = zip(self.blocks, params["blocks"], cache["blocks"], grads["blocks"], strict=True)
        for block, block_params, block_cache, block_grads in reversed(list(blocks)):
            if self.memory:
                dx, dseen = block.backward(block_params, dx, block_cache, block_grads)
                dmemory = dseen if dmemory is None else dmemory + dseen  # (B, S, D)
            else:
                dx = block.backward(block_params, dx, block_cache, block_grads)  # (B, T, D)
        dplaced = self.dropout.backward(dx, cache["dropout"])  # (B, T, D)
        self.embed.backward(params["embed"], dplaced, cache["embed"], grads["embed"])
        return dmemory

    def begin(
        self,
        params: Params | Nest,
        memory: Array | None = None,
        memory_lengths: np.ndarray | None = None,
    ) -> Any:
        """Return what `step` needs before the first token: each block's keys and values."""
        if not self.memory:
            return {"place": 0, "blocks": [None] * len(self.blocks)}
        blocks = zip(self.blocks, params["blocks"], strict=True)
        past = [block.begin(its_params, memory, memory_lengths) for block, its_params in blocks]
        return {"place": 0, "blocks": past}

    def step(self, params: Params | Nest, tokens: np.ndarray, state: Any) -> tuple[Array, Any]:
        """Return logits (B, V) of what follows one more token each, (B,), and the new state.

        state: as `begin` or the step before has returned it, with a row for each token
        They are the logits that `forward` gives for the last place of all tokens so far.
        """
        place = state["place"]
        if place >= self.length:
            raise ValueError(f"Decoder: it was made for {self.length} tokens, this is one more")
        words, _ = self.embed.forward(params["embed"], tokens[:, None])  # (B, 1, D)
        x = words + self._places(words, place)  # (B, 1, D)
        past = []
        steps = zip(self.blocks, params["blocks"], state["blocks"], strict=True)
        for block, block_params, block_past in steps:
            x, block_past = block.step(block_params, x, block_past)  # (B, 1, D)
            past.append(block_past)
        normed, _ = self.ln.forward(params["ln"], x)  # (B, 1, D)
        if self.shared:
            logits, _ = self.embed.logits(params["embed"], normed)  # (B, 1, V)
        else:
            logits, _ = self.head.forward(params["head"], normed)  # (B, 1, V)
        return logits[:, 0], {"place": place + 1, "blocks": past}

    def _places(self, words, first):
        """The positions that are added to words (B, T, D) from place `first` on: (T, D)."""
        xp, T = array_module(words), words.shape[1]
        if self.positions == "rotary":
            return xp.zeros((T, self.dim), words.dtype)
        return sinusoids(xp, self.length, self.dim)[first : first + T].astype(words.dtype)

    def _expect_fit(self, tokens, memory):
        """Refuse tokens that are too many, and a memory that is missing or too much."""
        expect_shape("Decoder: tokens", np.asarray(tokens), "B", "T")
        if np.shape(tokens)[1] > self.length:
            raise ValueError(
                f"Decoder: it was made for {self.length} tokens, got {np.shape(tokens)[1]}"
            )
        if self.memory != (memory is not None):
            raise ValueError(
                "Decoder: it has no memory to look at, got one"
                if not self.memory
                else "Decoder: it looks at a memory (B, S, D), got none"
            )
