"""The pre-norm transformer block (Xiong et al. 2020, arXiv:2002.04745, figure 1b)."""

import numpy as np

from .attention import Attention
from .layernorm import LayerNorm
from .mlp import MLP


class PreNormBlock:
    """Tokens first talk to each other, then each thinks by itself; both only add to what is there.

        mid = x + attn(ln1(x))
        y   = mid + mlp(ln2(mid))

    The line x → mid → y, to which the branches only add, is called the residual stream.

    Params   ln1, attn, ln2, mlp
    Forward  x (B, T, D) -> y (B, T, D)
    Cache    ln1, attn, ln2, mlp: the caches of the four

    A sum hands its gradient to both of its terms unchanged. So dy runs straight through to dx,
    whatever the branches do, and each branch adds its share to it: this is why deep residual
    networks can be trained at all.

        dmid = dy   + (dy   back through mlp  and ln2)
        dx   = dmid + (dmid back through attn and ln1)
    """

    def __init__(self, dim, heads, mlp_dim, gain=1.0, eps=1e-6):
        """`gain` scales the initial weights of both ways back into the residual stream."""
        self.ln1 = LayerNorm(dim, eps)
        self.attn = Attention(dim, heads, gain)
        self.ln2 = LayerNorm(dim, eps)
        self.mlp = MLP(dim, mlp_dim, gain)

    def init(self, rng, dtype=np.float32):
        return {
            "ln1": self.ln1.init(rng, dtype),
            "attn": self.attn.init(rng, dtype),
            "ln2": self.ln2.init(rng, dtype),
            "mlp": self.mlp.init(rng, dtype),
        }

    def forward(self, params, x):
        cache = {}
        x_normed, cache["ln1"] = self.ln1.forward(params["ln1"], x)  # (B, T, D)
        attn_out, cache["attn"] = self.attn.forward(params["attn"], x_normed)  # (B, T, D)
        mid = x + attn_out  # (B, T, D)  x + attn(ln1(x))
        mid_normed, cache["ln2"] = self.ln2.forward(params["ln2"], mid)  # (B, T, D)
        mlp_out, cache["mlp"] = self.mlp.forward(params["mlp"], mid_normed)  # (B, T, D)
        y = mid + mlp_out  # (B, T, D)  mid + mlp(ln2(mid))
        return y, cache

    def backward(self, params, dy, cache, grads):
        ln1, attn, ln2, mlp = cache["ln1"], cache["attn"], cache["ln2"], cache["mlp"]
        dmid_normed = self.mlp.backward(params["mlp"], dy, mlp, grads["mlp"])  # (B, T, D)
        dmid_branch = self.ln2.backward(params["ln2"], dmid_normed, ln2, grads["ln2"])  # (B, T, D)
        dmid = dy + dmid_branch  # (B, T, D)  straight through, and through the MLP
        dx_normed = self.attn.backward(params["attn"], dmid, attn, grads["attn"])  # (B, T, D)
        dx_branch = self.ln1.backward(params["ln1"], dx_normed, ln1, grads["ln1"])  # (B, T, D)
        dx = dmid + dx_branch  # (B, T, D)  straight through, and through the attention
        return dx
