"""A reader: an encoder looks at a picture, and a decoder writes down what it says."""

from typing import Any

import numpy as np

from ..backend import Array, to_device
from ..layers.refusals import expect_like
from ..losses import sequence_cross_entropy
from ..params import Nest, Params
from .decoder import Decoder
from .encoder import Encoder
from .vocabulary import BEGIN, PADDING


class Reader(Encoder):
    """An encoder for the picture, a decoder for the text: each of its tokens looks at all patches.

        images → encoder → memory; text so far, memory → decoder → logits of the next token

    Params   those of the encoder, and decoder
    Forward  images (B, H, W, C), normalised floats, tokens (B, T) -> logits (B, T, V)
    Cache    those of the encoder, and decoder

    Arguments
        words:   V, with the tokens for padding, begin and end, 0 to 2
        longest: characters of a text, at most; the decoder's length T is one more, for the begin
        decoder_depth, decoder_positions: blocks and positions of the decoder; its other sizes are
                 the encoder's
        and those of the Encoder, but for class_token, layer_scale and drop_path

    Teacher forcing: while it learns, it is told the text that stands there, of which each place
    sees the part before it, and not what it would have written itself. So all places learn at once.
    A text is read right if all its places are; and then it is also what greedy search writes, which
    is told the same.
    """

    def __init__(
        self,
        *,
        words: int,
        longest: int,
        decoder_depth: int = 2,
        decoder_positions: str = "sincos1d",
        **encoder: Any,
    ) -> None:
        super().__init__(**encoder)
        for name in ("class_token", "layer_scale", "drop_path"):
            del self.config[name]
        own = ("dim", "heads", "mlp_dim", "norm", "eps", "dropout")
        self.decoder = Decoder(
            words=words, length=longest + 1, depth=decoder_depth, positions=decoder_positions,
            **{name: self.config[name] for name in own},
        )  # fmt: skip
        self.config |= dict(
            words=self.decoder.words, longest=self.decoder.length - 1,
            decoder_depth=len(self.decoder.blocks), decoder_positions=decoder_positions,
        )  # fmt: skip

    def init(self, rng: "np.random.Generator", dtype: type | np.dtype = np.float32) -> Nest:
        return super().init(rng, dtype) | {"decoder": self.decoder.init(rng, dtype)}

    def told(self, labels: Array) -> dict[str, np.ndarray]:
        """What `forward` is told of labels (B, T + 1), begin to end: all tokens but the last."""
        return {"tokens": to_device(labels, "cpu")[:, :-1]}

    def forward(  # type: ignore[override]  # the decoder looks at all tokens of the encoder
        self,
        params: Params | Nest,
        images: Array,
        rng: "np.random.Generator | None" = None,
        *,
        keep: bool = True,
        tokens: np.ndarray | None = None,
    ) -> tuple[Array, Any]:
        """Return logits (B, T, V), and the cache for `backward`, or None with `keep=False`.

        tokens: (B, T) integers, the text so far, with its begin; without them, only the begin is
                there, so that the logits (B, 1, V) are those of the first character
        """
        if tokens is None:
            tokens = np.full((len(images), 1), BEGIN)
        memory, cache = self.encode(params, images, rng, keep=keep)  # (B, N, D)
        logits, cache["decoder"] = self.decoder.forward(
            params["decoder"], tokens, memory, rng=rng, keep=keep
        )  # (B, T, V)
        return logits, cache if keep else None

    def backward(
        self, params: Params | Nest, dlogits: Array, cache: Any, grads: Params | Nest
    ) -> Array:
        """Add dLoss/dparams to `grads`; return dLoss/dimages (B, H, W, C)."""
        if cache is None:
            raise ValueError("Reader: the cache was not kept; call forward with keep=True")
        expect_like("Reader", "dlogits", dlogits, params["patches"]["w"])
        dmemory = self.decoder.backward(
            params["decoder"], dlogits, cache["decoder"], grads["decoder"]
        )  # (B, N, D)
        dimages = super().backward(params, dmemory, cache, grads)  # (B, H, W, C)
        return dimages

    def encode(
        self,
        params: Params | Nest,
        images: Array,
        rng: "np.random.Generator | None" = None,
        *,
        keep: bool = True,
    ) -> tuple[Array, Any]:
        """Return the encoder's tokens, the memory (B, N, D), and its cache."""
        return super().forward(params, images, rng, keep=keep)

    def grade(
        self, logits: Array, images: Array, labels: Array, smoothing: float = 0.0
    ) -> tuple[Any, Array, Any, int]:
        """Return the loss, dlogits, how many texts are read without an error, and how many are.

        labels: (B, T + 1) integers: begin, the text, its end, padding
        The loss is in nats a text: minus the logarithm of its probability, a mean over the batch.
        (A mean over the tokens would depend on how a batch is cut into parts.)
        """
        labels = to_device(labels, "cpu")
        targets = labels[:, 1:]  # (B, T)
        lengths = (targets != PADDING).sum(axis=1)  # (B,)
        loss, dlogits = sequence_cross_entropy(logits, targets, lengths, smoothing=smoothing)
        tokens_a_text = float(lengths.mean())
        best = to_device(logits, "cpu").argmax(axis=-1)  # (B, T)
        right = ((best == targets) | (targets == PADDING)).all(axis=1).sum()
        return loss * tokens_a_text, dlogits * tokens_a_text, right, len(labels)
