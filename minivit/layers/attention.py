"""Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762, equation 1, section 3.2.2)."""

import numpy as np

from ..backend import array_module
from .keys_first import matmul_keys_first
from .linear import Linear
from .refusals import dim_and_heads, expect_shape
from .softmax import Softmax


class Attention:
    """Every token asks (q), offers a key (k) and a value (v), and mixes the values that match.

        scores = q kᵀ / √d      att = softmax(scores)      mix = att v      y = proj(all mixes)

    Params   qkv {w (D, 3D), b (3D,)}   proj {w (D, D), b (D,)}
    Forward  x (B, T, D) -> y (B, T, D)
    Cache    q, k, v (B, h, T, d), att (B, h, T, T); qkv, softmax, proj: the caches of the three
    Errors   ValueError if dim is not divisible by heads, or x is not (B, T, D)

    The 3D columns of qkv are (3, h, d): all of q, then k, then v, head by head. Within a head, row
    t of `scores` belongs to the query token t and its columns to the key tokens.

    Every product has two inputs, so each line of the forward is answered by two in the backward
    (`.mT` swaps the last two axes, which transposes every matrix of a stack):

        mix    = att v           datt = dmix vᵀ               dv = attᵀ dmix
        scores = q kᵀ / √d       dq   = dscores k / √d        dk = dscoresᵀ q / √d

    dq sums over the keys that a query looked at; dk and dv sum over the queries that looked at a
    key, hence the transpose. The bias of k gets no gradient: it adds the same number to a whole row
    of scores, and softmax ignores that.
    """

    def __init__(self, dim, heads, gain=1.0):
        """`gain` scales the initial weights of the way out, proj."""
        self.dim, self.heads = dim, heads = dim_and_heads("Attention", dim, heads)
        self.scale = (dim // heads) ** -0.5
        self.qkv = Linear(dim, 3 * dim)
        self.softmax = Softmax()
        self.proj = Linear(dim, dim, gain)

    def init(self, rng, dtype=np.float32):
        return {"qkv": self.qkv.init(rng, dtype), "proj": self.proj.init(rng, dtype)}

    def forward(self, params, x):
        expect_shape("Attention", x, "B", "T", self.dim)
        B, T, D = x.shape
        h, d = self.heads, D // self.heads
        xp = array_module(x)
        cache = {}
        qkv, cache["qkv"] = self.qkv.forward(params["qkv"], x)  # (B, T, 3D)
        q, k, v = qkv.reshape(B, T, 3, h, d).transpose(2, 0, 3, 1, 4)  # 3 x (B, h, T, d)
        scores = matmul_keys_first(q, k.mT)  # (B, h, T, T)
        scores *= self.scale
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
        dscores = self.softmax.backward(datt, cache["softmax"])  # (B, h, T, T)
        dscores *= self.scale
        dqkv = xp.empty((B, T, 3 * D), dy.dtype)
        dq, dk, dv = dqkv.reshape(B, T, 3, h, d).transpose(2, 0, 3, 1, 4)  # 3 x (B, h, T, d), views
        xp.matmul(dscores, k, out=dq)
        xp.matmul(dscores.mT, q, out=dk)
        xp.matmul(att.mT, dmix, out=dv)
        dx = self.qkv.backward(params["qkv"], dqkv, cache["qkv"], grads["qkv"])  # (B, T, D)
        return dx
