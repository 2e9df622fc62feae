"""One letter that a reader writes, as the answer of a model that has no other."""

from ..backend import array_module


class OneLetter:
    """A reader that is told a text and asked for one letter of it: a model that can be traced.

    Params   those of the reader
    Forward  images (B, H, W, C) -> logits (B, V) of the letter
    Cache    reader: its cache

    Arguments
        reader: a Reader
        tokens: (B, T) integers, the text with its begin: what the reader is told
        place:  of the letter, from 0; it sees the tokens 0 to `place`

    The gradients of all other letters' logits are zero, so all that comes back is of this one.
    """

    def __init__(self, reader, tokens, place):
        self.reader, self.tokens, self.place = reader, tokens, place

    def init(self, rng, dtype):
        return self.reader.init(rng, dtype)

    def forward(self, params, images):
        logits, cache = self.reader.forward(params, images, tokens=self.tokens)  # (B, T, V)
        letter = logits[:, self.place]  # (B, V)
        return letter, {"reader": cache}

    def backward(self, params, dletter, cache, grads):
        B, T = self.tokens.shape
        xp = array_module(dletter)
        dlogits = xp.zeros((B, T, dletter.shape[-1]), dletter.dtype)  # (B, T, V)
        dlogits[:, self.place] = dletter
        dimages = self.reader.backward(params, dlogits, cache["reader"], grads)  # (B, H, W, C)
        return dimages
