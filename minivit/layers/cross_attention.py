"""Attention to another sequence (Vaswani et al. 2017, arXiv:1706.03762, section 3.2.3)."""

import numpy as np

from ..backend import array_module
from .hiding import checked_lengths, hide_padding
from .keys_first import matmul_keys_first
from .linear import Linear
from .refusals import dim_and_heads, expect_shape
from .softmax import Softmax


class CrossAttention:
    """Every token asks (q) the tokens of another sequence, the memory, which have keys and values.

        scores = q kᵀ / √d, and −inf where the key is padding
        att = softmax(scores)      mix = att v      y = proj(all mixes)

    Params   q {w (D, D), b (D,)}   kv {w (D, 2D), b (2D,)}   proj {w (D, D), b (D,)}
    Forward  x (B, T, D), memory (B, S, D), lengths (B,) of the memory or None -> y (B, T, D)
    Cache    queries (B, h, T, d), keys, values (B, h, S, d), att (B, h, T, S); q, kv, softmax,
             proj: the caches of the four
    Errors   ValueError if dim is not divisible by heads, x is not (B, T, D), memory is not
             (B, S, D), or lengths are not from 1 to S; TypeError if lengths are no integers

    The 2D columns of kv are (2, h, d): all of k, then v, head by head. `lengths` are integers of
    NumPy's; the tokens of the memory from lengths[b] on are padding (masked_attention.py).

    The lines of the backward are those of attention.py. There, what comes back through q, k and v
    is one sum, as all three were made of x. Here it goes two ways, and backward returns two
    gradients, in the order of the inputs:

        dq = dscores k / √d                           dx      = dq back through q
        dk = dscoresᵀ q / √d      dv = attᵀ dmix      dmemory = (dk, dv) back through kv

    A token of the memory is asked by every query, hence the transposes, and by every block of a
    decoder: its gradient is the sum over them all.
    """

    def __init__(self, dim, heads, gain=1.0):
        """`gain` scales the initial weights of the way out, proj."""
        self.dim, self.heads = dim, heads = dim_and_heads("CrossAttention", dim, heads)
        self.scale = (dim // heads) ** -0.5
        self.q = Linear(dim, dim)
        self.kv = Linear(dim, 2 * dim)
        self.softmax = Softmax()
        self.proj = Linear(dim, dim, gain)

    def init(self, rng, dtype=np.float32):
        return {
            "q": self.q.init(rng, dtype),
            "kv": self.kv.init(rng, dtype),
            "proj": self.proj.init(rng, dtype),
        }

    def forward(self, params, x, memory, lengths=None):
        expect_shape("CrossAttention", x, "B", "T", self.dim)
        expect_shape("CrossAttention: memory", memory, len(x), "S", self.dim)
        (B, T, D), S = x.shape, memory.shape[1]
        h, d = self.heads, D // self.heads
        xp = array_module(x)
        cache = {}
        asked, cache["q"] = self.q.forward(params["q"], x)  # (B, T, D)
        kv, cache["kv"] = self.kv.forward(params["kv"], memory)  # (B, S, 2D)
        q = asked.reshape(B, T, h, d).transpose(0, 2, 1, 3)  # (B, h, T, d)
        k, v = kv.reshape(B, S, 2, h, d).transpose(2, 0, 3, 1, 4)  # 2 x (B, h, S, d)
        scores = matmul_keys_first(q, k.mT)  # (B, h, T, S)
        scores *= self.scale
        if lengths is not None:
            hide_padding(scores, checked_lengths("CrossAttention", lengths, B, S))
        att, cache["softmax"] = self.softmax.forward(scores)  # (B, h, T, S)
        merged = xp.empty((B, T, D), x.dtype)
        mix = merged.reshape(B, T, h, d).transpose(0, 2, 1, 3)  # (B, h, T, d), a view of merged
        xp.matmul(att, v, out=mix)
        y, cache["proj"] = self.proj.forward(params["proj"], merged)  # (B, T, D)
        cache.update(queries=q, keys=k, values=v, att=att)
        return y, cache

    def backward(self, params, dy, cache, grads):
        xp = array_module(dy)
        q, k, v, att = cache["queries"], cache["keys"], cache["values"], cache["att"]
        (B, T, D), S = dy.shape, k.shape[2]
        h, d = self.heads, D // self.heads
        dmerged = self.proj.backward(params["proj"], dy, cache["proj"], grads["proj"])  # (B, T, D)
        dmix = dmerged.reshape(B, T, h, d).transpose(0, 2, 1, 3)  # (B, h, T, d)
        datt = matmul_keys_first(dmix, v.mT)  # (B, h, T, S)
        dscores = self.softmax.backward(datt, cache["softmax"])  # (B, h, T, S), 0 where hidden
        dscores *= self.scale
        dasked = xp.empty((B, T, D), dy.dtype)
        dq = dasked.reshape(B, T, h, d).transpose(0, 2, 1, 3)  # (B, h, T, d), a view of dasked
        dkv = xp.empty((B, S, 2 * D), dy.dtype)
        dk, dv = dkv.reshape(B, S, 2, h, d).transpose(2, 0, 3, 1, 4)  # 2 x (B, h, S, d), views
        xp.matmul(dscores, k, out=dq)
        xp.matmul(dscores.mT, q, out=dk)
        xp.matmul(att.mT, dmix, out=dv)
        dx = self.q.backward(params["q"], dasked, cache["q"], grads["q"])  # (B, T, D)
        dmemory = self.kv.backward(params["kv"], dkv, cache["kv"], grads["kv"])  # (B, S, D)
        return dx, dmemory

    def keys_and_values(self, params, memory, lengths=None):
        """Return what `step` needs of the memory, computed once: {"k", "v"}, each (B, h, S, d).

        With lengths, they are kept beside them. Errors: those of the forward.
        """
        expect_shape("CrossAttention: memory", memory, "B", "S", self.dim)
        B, S, D = memory.shape
        h, d = self.heads, D // self.heads
        kv, _ = self.kv.forward(params["kv"], memory)  # (B, S, 2D)
        k, v = kv.reshape(B, S, 2, h, d).transpose(2, 0, 3, 1, 4)  # 2 x (B, h, S, d)
        if lengths is None:
            return {"k": k, "v": v}
        return {"k": k, "v": v, "lengths": checked_lengths("CrossAttention", lengths, B, S)}

    def step(self, params, x, kept):
        """Return y (B, 1, D) of one token x (B, 1, D), with what `keys_and_values` has kept.

        Errors: ValueError if x is not one token
        """
        expect_shape("CrossAttention.step", x, "B", 1, self.dim)
        B, D = len(x), self.dim
        h, d = self.heads, D // self.heads
        asked, _ = self.q.forward(params["q"], x)  # (B, 1, D)
        q = asked.reshape(B, h, 1, d)  # (B, h, 1, d)
        scores = matmul_keys_first(q, kept["k"].mT)  # (B, h, 1, S)
        scores *= self.scale
        if "lengths" in kept:
            hide_padding(scores, kept["lengths"])
        att, _ = self.softmax.forward(scores)  # (B, h, 1, S)
        mix = att @ kept["v"]  # (B, h, 1, d)
        y, _ = self.proj.forward(params["proj"], mix.reshape(B, 1, D))  # (B, 1, D)
        return y
