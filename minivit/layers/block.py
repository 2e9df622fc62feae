"""The pre-norm transformer block (Xiong et al. 2020, arXiv:2002.04745, figure 1b)."""

import numpy as np

from .attention import Attention
from .dropout import Dropout
from .layernorm import LayerNorm
from .mlp import MLP


class PreNormBlock:
    """Tokens first talk to each other, then each thinks by itself; both only add to what is there.

        mid = x + drop1(attn(ln1(x)))
        y   = mid + drop2(mlp(ln2(mid)))

    The line x → mid → y, to which the branches only add, is called the residual stream. A branch
    ends with dropout and stochastic depth, which do nothing unless asked for.

    Params   ln1, attn, ln2, mlp
    Forward  x (B, T, D), rng or None to drop nothing -> y (B, T, D)
    Cache    ln1, attn, drop1, ln2, mlp, drop2: the caches of the six

    A sum hands its gradient to both of its terms unchanged. So dy runs straight through to dx,
    whatever the branches do, and each branch adds its share to it: this is why deep residual
    networks can be trained at all.

        dmid = dy   + (dy   back through drop2, mlp and ln2)
        dx   = dmid + (dmid back through drop1, attn and ln1)
    """

    def __init__(self, dim, heads, mlp_dim, gain=1.0, eps=1e-6, dropout=0.0, drop_path=0.0):
        """`gain` scales the initial weights of both ways back into the residual stream.

        dropout, drop_path: the rates at which a branch loses numbers, or an image the whole branch
        """
        self.ln1 = LayerNorm(dim, eps)
        self.attn = Attention(dim, heads, gain)
        self.drop1 = Dropout(dropout, drop_path)
        self.ln2 = LayerNorm(dim, eps)
        self.mlp = MLP(dim, mlp_dim, gain)
        self.drop2 = Dropout(dropout, drop_path)

    def init(self, rng, dtype=np.float32):
        return {
            "ln1": self.ln1.init(rng, dtype),
            "attn": self.attn.init(rng, dtype),
            "ln2": self.ln2.init(rng, dtype),
            "mlp": self.mlp.init(rng, dtype),
        }

    def forward(self, params, x, rng=None):
        cache = {}
        x_normed, cache["ln1"] = self.ln1.forward(params["ln1"], x)  # (B, T, D)
        attn_out, cache["attn"] = self.attn.forward(params["attn"], x_normed)  # (B, T, D)
        attn_kept, cache["drop1"] = self.drop1.forward(attn_out, rng)  # (B, T, D)
        mid = x + attn_kept  # (B, T, D)  x + attn(ln1(x))
        mid_normed, cache["ln2"] = self.ln2.forward(params["ln2"], mid)  # (B, T, D)
        mlp_out, cache["mlp"] = self.mlp.forward(params["mlp"], mid_normed)  # (B, T, D)
        mlp_kept, cache["drop2"] = self.drop2.forward(mlp_out, rng)  # (B, T, D)
        y = mid + mlp_kept  # (B, T, D)  mid + mlp(ln2(mid))
        return y, cache

    def backward(self, params, dy, cache, grads):
        # every array below is (B, T, D)
        dmlp_out = self.drop2.backward(dy, cache["drop2"])
        dmid_normed = self.mlp.backward(params["mlp"], dmlp_out, cache["mlp"], grads["mlp"])
        dmid_branch = self.ln2.backward(params["ln2"], dmid_normed, cache["ln2"], grads["ln2"])
        dmid = dy + dmid_branch  # straight through, and through the MLP
        dattn_out = self.drop1.backward(dmid, cache["drop1"])
        dx_normed = self.attn.backward(params["attn"], dattn_out, cache["attn"], grads["attn"])
        dx_branch = self.ln1.backward(params["ln1"], dx_normed, cache["ln1"], grads["ln1"])
        dx = dmid + dx_branch  # straight through, and through the attention
        return dx
