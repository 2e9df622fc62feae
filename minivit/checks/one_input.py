"""Layers that take more than one array of floats, as layers with one input, for gradcheck."""

import inspect

import numpy as np

from ..backend import array_module
from ..layers import Embedding
from ..models import Decoder, Reader


def lengths_of(x):
    """Lengths of the sequences x (B, T, D), from 1 to T, of which not all are alike."""
    return 1 + (x.shape[1] // 2 + np.arange(len(x))) % x.shape[1]


def one_input(kind, tokens=None, padded=False):
    """Return a subclass of a kind of layer, of its name, whose forward takes one input and an rng.

    tokens: x is cut after so many tokens, and what follows is the memory; None for a layer without
    padded: whether the sequences have lengths, those of `lengths_of`
    """
    takes = inspect.signature(kind.forward).parameters
    lengths = [name for name in takes if name.endswith("lengths")]

    class OneInput(kind):
        passes = (kind.forward, kind.backward)  # whose local variables name what happens inside

        def forward(self, params, x, rng=None):
            inputs = [x] if tokens is None else [x[:, :tokens], x[:, tokens:]]
            given = {"rng": rng} if "rng" in takes else {}
            if padded:  # the last lengths are those of the last input
                pairs = zip(reversed(lengths), reversed(inputs), strict=False)
                given |= {name: lengths_of(each) for name, each in pairs}
            return super().forward(params, *inputs, **given)

        def backward(self, params, dy, cache, grads):
            gradients = super().backward(params, dy, cache, grads)
            if tokens is None:
                return gradients
            return array_module(dy).concatenate(gradients, axis=1)  # dx, dmemory

    OneInput.__name__, OneInput.tokens, OneInput.padded = kind.__name__, tokens, padded
    return OneInput


def words_at(x, words):
    """Numbers of words for the places of x (B, T, D): some come once, some again, some never."""
    places = np.arange(x.shape[1])
    return np.resize(places * (places + 1) // 2 % words, x.shape[:2])


class AddedWords(Embedding):
    """Words are added to x, as integers have no slope: y = x + w[tokens] · √D."""

    passes = (Embedding.forward, Embedding.backward)

    def forward(self, params, x):
        words, cache = super().forward(params, words_at(x, self.words))
        return x + words, cache

    def backward(self, params, dy, cache, grads):
        super().backward(params, dy, cache, grads)
        return dy.copy()


class SharedWords(Embedding):
    """The same, and what comes of it is compared with the same words: logits = y wᵀ."""

    def forward(self, params, x):
        words, cache = super().forward(params, words_at(x, self.words))
        read = x + words
        logits, of_logits = self.logits(params, read)
        return logits, cache | of_logits

    def backward(self, params, dy, cache, grads):
        dread = self.logits_backward(params, dy, cache, grads)
        super().backward(params, dread, cache, grads)
        return dread


AddedWords.__name__ = "Embedding"


class WritingDecoder(Decoder):
    """A decoder that is given its memory, and always writes the same."""

    passes = (Decoder.forward, Decoder.backward)

    def forward(self, params, memory, rng=None):
        tokens = words_at(np.empty((len(memory), self.length)), self.words)
        return super().forward(params, tokens, memory, rng=rng)


class WritingReader(Reader):
    """A reader that is given images, and always told the same text."""

    passes = (Reader.forward, Reader.backward)

    def forward(self, params, images, rng=None):
        tokens = words_at(np.empty((len(images), self.decoder.length)), self.decoder.words)
        return super().forward(params, images, rng, tokens=tokens)


WritingDecoder.__name__, WritingReader.__name__ = "Decoder", "Reader"
