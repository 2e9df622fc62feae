"""Attention that does not see everything (Vaswani et al. 2017, arXiv:1706.03762, section 3.2.3)."""

from ..backend import array_module
from .attention import Attention
from .hiding import checked_lengths, hide_later, hide_padding
from .keys_first import matmul_keys_first
from .refusals import expect_shape
from .rotary import Rotary, rotate, rotate_back


class MaskedAttention(Attention):
    """Attention in which a query sees no later keys, and nobody sees padding.

        scores = q kᵀ / √d, and −inf where the key is hidden
        att = softmax(scores)      mix = att v      y = proj(all mixes)

    Params   qkv {w (D, 3D), b (3D,)}   proj {w (D, D), b (D,)}, as in attention.py
    Forward  x (B, T, D), lengths (B,) or None -> y (B, T, D)
    Cache    q, k, v (B, h, T, d), att (B, h, T, T); qkv, softmax, proj: the caches of the three
    Errors   ValueError if dim is not divisible by heads, x is not (B, T, D), lengths are not from 1
             to T, or heads are to be turned and their width is odd; TypeError if lengths are no
             integers

    `lengths` are integers of NumPy's; the keys from lengths[b] on are padding. With causal=True,
    query t sees the keys 0 to t, so that a decoder cannot read what it is to write. With
    rotary=True, q and k are turned by their places (rotary.py) and cached as they are then.

    A score is hidden *before* the softmax, in an array that this call has made: exp(−inf) is
    exactly 0, and the others still sum to one. A large finite number would do as long as it is
    large enough, and one day it is not.

    The backward does not mention the mask. dscores = att · (datt − Σ att · datt), and where att is
    exactly 0 so is dscores: whatever stands at a hidden place, nothing comes back to it. What is
    new is only that q and k, if they were turned, are turned back:

        dq = dscores k / √d      dk = dscoresᵀ q / √d      dv = attᵀ dmix
    """

    def __init__(self, dim, heads, gain=1.0, *, causal=True, rotary=False):
        """`gain` scales the initial weights of the way out, proj.

        causal: whether later keys are hidden
        rotary: whether queries and keys are turned by their places
        """
        super().__init__(dim, heads, gain)
        self.causal, self.rotary = bool(causal), bool(rotary)
        if rotary:
            Rotary(self.dim // self.heads)  # refuses an odd width

    def forward(self, params, x, lengths=None):
        expect_shape("MaskedAttention", x, "B", "T", self.dim)
        B, T, D = x.shape
        h, d = self.heads, D // self.heads
        xp = array_module(x)
        cache = {}
        qkv, cache["qkv"] = self.qkv.forward(params["qkv"], x)  # (B, T, 3D)
        q, k, v = qkv.reshape(B, T, 3, h, d).transpose(2, 0, 3, 1, 4)  # 3 x (B, h, T, d)
        if self.rotary:
            q, k = rotate(q), rotate(k)  # 2 x (B, h, T, d)
        scores = matmul_keys_first(q, k.mT)  # (B, h, T, T)
        scores *= self.scale
        if self.causal:
            hide_later(scores)
        if lengths is not None:
            hide_padding(scores, checked_lengths("MaskedAttention", lengths, B, T))
        att, cache["softmax"] = self.softmax.forward(scores)  # (B, h, T, T)
        merged = xp.empty((B, T, D), x.dtype)
        mix = merged.reshape(B, T, h, d).transpose(0, 2, 1, 3)  # (B, h, T, d), a view of merged
        xp.matmul(att, v, out=mix)
        y, cache["proj"] = self.proj.forward(params["proj"], merged)  # (B, T, D)
        cache.update(q=q, k=k, v=v, att=att)
        return y, cache

    def backward(self, params, dy, cache, grads):
        xp = array_module(dy)
        B, T, D = dy.shape
        h, d = self.heads, D // self.heads
        q, k, v, att = cache["q"], cache["k"], cache["v"], cache["att"]
        dmerged = self.proj.backward(params["proj"], dy, cache["proj"], grads["proj"])  # (B, T, D)
        dmix = dmerged.reshape(B, T, h, d).transpose(0, 2, 1, 3)  # (B, h, T, d)
        datt = matmul_keys_first(dmix, v.mT)  # (B, h, T, T)
        dscores = self.softmax.backward(datt, cache["softmax"])  # (B, h, T, T), 0 where hidden
        dscores *= self.scale
        dqkv = xp.empty((B, T, 3 * D), dy.dtype)
        dq, dk, dv = dqkv.reshape(B, T, 3, h, d).transpose(2, 0, 3, 1, 4)  # 3 x (B, h, T, d), views
        xp.matmul(dscores, k, out=dq)
        xp.matmul(dscores.mT, q, out=dk)
        xp.matmul(att.mT, dmix, out=dv)
        if self.rotary:
            dq[...] = rotate_back(dq)
            dk[...] = rotate_back(dk)
        dx = self.qkv.backward(params["qkv"], dqkv, cache["qkv"], grads["qkv"])  # (B, T, D)
        return dx

    def step(self, params, x, past=None):
        """Return y (B, 1, D) of one more token x (B, 1, D), and the past for the next one.

        past: {"k", "v"}, each (B, h, t, d), of the t tokens before, as a step returns it; None at
              first. What is past sees nothing later, so it stays as it is, and one row of
              attention is enough.
        Errors: ValueError if x is not one token, or attention is not causal
        """
        expect_shape("MaskedAttention.step", x, "B", 1, self.dim)
        if not self.causal:
            raise ValueError("MaskedAttention.step: without causal=True, later tokens matter")
        B, D = len(x), self.dim
        h, d = self.heads, D // self.heads
        xp = array_module(x)
        qkv, _ = self.qkv.forward(params["qkv"], x)  # (B, 1, 3D)
        q, k, v = qkv.reshape(B, 1, 3, h, d).transpose(2, 0, 3, 1, 4)  # 3 x (B, h, 1, d)
        if self.rotary:
            place = past["k"].shape[2] if past else 0
            q, k = rotate(q, place), rotate(k, place)  # 2 x (B, h, 1, d)
        if past:
            k = xp.concatenate([past["k"], k], axis=2)  # (B, h, T, d)
            v = xp.concatenate([past["v"], v], axis=2)  # (B, h, T, d)
        scores = matmul_keys_first(q, k.mT)  # (B, h, 1, T)
        scores *= self.scale
        att, _ = self.softmax.forward(scores)  # (B, h, 1, T)
        mix = att @ v  # (B, h, 1, d)
        y, _ = self.proj.forward(params["proj"], mix.reshape(B, 1, D))  # (B, 1, D)
        return y, {"k": k, "v": v}
