"""Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762, equation 1, section 3.2.2)."""

import numpy as np

from ....layers.linear import Linear
from ....layers.softmax import Softmax


class Attention:
    """Every token asks (q), offers a key (k) and a value (v), and mixes the values that match.

        scores = q kᵀ / √d      att = softmax(scores)      mix = att v      y = proj(all mixes)

    The 3D columns of qkv are (3, h, d): all of q, then k, then v, head by head. Within a head, row
    t of `scores` belongs to the query token t and its columns to the key tokens. `.mT` swaps the
    last two axes, which transposes every matrix of a stack.

    Params   qkv {w (D, 3D), b (3D,)}   proj {w (D, D), b (D,)}
    Forward  x (B, T, D) -> y (B, T, D)
    Cache    q, k, v (B, h, T, d), att (B, h, T, T); qkv, softmax, proj: the caches of the three

        mix    = att v           datt = dmix vᵀ               dv = attᵀ dmix
        scores = q kᵀ / √d       dq   = dscores k / √d        dk = dscoresᵀ q / √d
    """

    def __init__(self, dim, heads):
        self.dim, self.heads = dim, heads
        self.scale = (dim // heads) ** -0.5  # 1/√d
        self.qkv = Linear(dim, 3 * dim)
        self.softmax = Softmax()
        self.proj = Linear(dim, dim)

    def init(self, rng, dtype=np.float32):
        return {"qkv": self.qkv.init(rng, dtype), "proj": self.proj.init(rng, dtype)}

    def forward(self, params, x):
        B, T, D = x.shape
        h, d = self.heads, D // self.heads
        cache = {}
        qkv, cache["qkv"] = self.qkv.forward(params["qkv"], x)  # (B, T, 3D)
        q, k, v = qkv.reshape(B, T, 3, h, d).transpose(2, 0, 3, 1, 4)  # 3 x (B, h, T, d)
        scores = q @ k.mT * self.scale  # (B, h, T, T)
        att, cache["softmax"] = self.softmax.forward(scores)  # (B, h, T, T)
        mix = att @ v  # (B, h, T, d)
        merged = mix.transpose(0, 2, 1, 3).reshape(B, T, D)  # (B, T, D)
        y, cache["proj"] = self.proj.forward(params["proj"], merged)  # (B, T, D)
        cache.update(q=q, k=k, v=v, att=att)
        return y, cache

    def backward(self, params, dy, cache, grads):
        B, T, D = dy.shape
        h, d = self.heads, D // self.heads
        q, k, v, att = cache["q"], cache["k"], cache["v"], cache["att"]
        dmerged = self.proj.backward(params["proj"], dy, cache["proj"], grads["proj"])  # (B, T, D)
        dmix = dmerged.reshape(B, T, h, d).transpose(0, 2, 1, 3)  # (B, h, T, d)
        datt = dmix @ v.mT  # (B, h, T, T)
        dscores = self.softmax.backward(datt, cache["softmax"]) * self.scale  # (B, h, T, T)
        dq = dscores @ k  # (B, h, T, d)
        dk = dscores.mT @ q  # (B, h, T, d)
        dv = att.mT @ dmix  # (B, h, T, d)
        dqkv = np.stack([dq, dk, dv]).transpose(1, 3, 0, 2, 4).reshape(B, T, 3 * D)  # (B, T, 3D)
        dx = self.qkv.backward(params["qkv"], dqkv, cache["qkv"], grads["qkv"])  # (B, T, D)
        return dx
