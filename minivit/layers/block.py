"""The pre-norm transformer block (Xiong et al. 2020, arXiv:2002.04745, figure 1b)."""

import numpy as np

from .attention import Attention
from .dropout import Dropout
from .identity import Identity
from .layer_scale import LayerScale
from .layernorm import LayerNorm
from .mlp import MLP


class PreNormBlock:
    """Tokens first talk to each other, then each thinks by itself; both only add to what is there.

        mid = x + drop1(ls1(attn(ln1(x))))
        y   = mid + drop2(ls2(mlp(ln2(mid))))

    The line x → mid → y, to which the branches only add, is called the residual stream. A branch
    ends with layer scale, dropout and stochastic depth, which do nothing unless asked for.

    Params   ln1, attn, ls1, ln2, mlp, ls2; without layer scale ls1 and ls2 are empty
    Forward  x (B, T, D), rng or None to drop nothing -> y (B, T, D)
    Cache    ln1, attn, ls1, drop1, ln2, mlp, ls2, drop2: the caches of the eight

    A sum hands its gradient to both of its terms unchanged. So dy runs straight through to dx,
    whatever the branches do, and each branch adds its share to it: this is why deep residual
    networks can be trained at all.

        dmid = dy   + (dy   back through drop2, ls2, mlp and ln2)
        dx   = dmid + (dmid back through drop1, ls1, attn and ln1)
    """

    def __init__(
        self,
        dim,
        heads,
        mlp_dim,
        gain=1.0,
        eps=1e-6,
        dropout=0.0,
        drop_path=0.0,
        activation="gelu_tanh",
        layer_scale=None,
        attention=Attention,
    ):
        """`gain` scales the initial weights of both ways back into the residual stream.

        dropout, drop_path: the rates at which a branch loses numbers, or an image the whole branch
        activation:  of the MLP, see mlp.py
        layer_scale: its initial value, or None for a block without
        attention:   the kind, called with dim, heads and gain, such as MaskedAttention
        """
        self.ln1 = LayerNorm(dim, eps)
        self.attn = attention(dim, heads, gain)
        self.ls1 = Identity() if layer_scale is None else LayerScale(dim, layer_scale)
        self.drop1 = Dropout(dropout, drop_path)
        self.ln2 = LayerNorm(dim, eps)
        self.mlp = MLP(dim, mlp_dim, gain, activation)
        self.ls2 = Identity() if layer_scale is None else LayerScale(dim, layer_scale)
        self.drop2 = Dropout(dropout, drop_path)

    def init(self, rng, dtype=np.float32):
        return {
            "ln1": self.ln1.init(rng, dtype),
            "attn": self.attn.init(rng, dtype),
            "ls1": self.ls1.init(rng, dtype),
            "ln2": self.ln2.init(rng, dtype),
            "mlp": self.mlp.init(rng, dtype),
            "ls2": self.ls2.init(rng, dtype),
        }

    def forward(self, params, x, rng=None):
        cache = {}
        x_normed, cache["ln1"] = self.ln1.forward(params["ln1"], x)  # (B, T, D)
        attn_out, cache["attn"] = self.attn.forward(params["attn"], x_normed)  # (B, T, D)
        attn_scaled, cache["ls1"] = self.ls1.forward(params["ls1"], attn_out)  # (B, T, D)
        attn_kept, cache["drop1"] = self.drop1.forward(attn_scaled, rng)  # (B, T, D)
        mid = x + attn_kept  # (B, T, D)  x + attn(ln1(x))
        mid_normed, cache["ln2"] = self.ln2.forward(params["ln2"], mid)  # (B, T, D)
        mlp_out, cache["mlp"] = self.mlp.forward(params["mlp"], mid_normed)  # (B, T, D)
        mlp_scaled, cache["ls2"] = self.ls2.forward(params["ls2"], mlp_out)  # (B, T, D)
        mlp_kept, cache["drop2"] = self.drop2.forward(mlp_scaled, rng)  # (B, T, D)
        y = mid + mlp_kept  # (B, T, D)  mid + mlp(ln2(mid))
        return y, cache

    def backward(self, params, dy, cache, grads):
        # every array below is (B, T, D)
        dmlp_scaled = self.drop2.backward(dy, cache["drop2"])
        dmlp_out = self.ls2.backward(params["ls2"], dmlp_scaled, cache["ls2"], grads["ls2"])
        dmid_normed = self.mlp.backward(params["mlp"], dmlp_out, cache["mlp"], grads["mlp"])
        dmid_branch = self.ln2.backward(params["ln2"], dmid_normed, cache["ln2"], grads["ln2"])
        dmid = dy + dmid_branch  # straight through, and through the MLP
        dattn_scaled = self.drop1.backward(dmid, cache["drop1"])
        dattn_out = self.ls1.backward(params["ls1"], dattn_scaled, cache["ls1"], grads["ls1"])
        dx_normed = self.attn.backward(params["attn"], dattn_out, cache["attn"], grads["attn"])
        dx_branch = self.ln1.backward(params["ln1"], dx_normed, cache["ln1"], grads["ln1"])
        dx = dmid + dx_branch  # straight through, and through the attention
        return dx
