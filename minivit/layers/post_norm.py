"""The post-norm transformer block (Vaswani et al. 2017, arXiv:1706.03762, section 3.1)."""

import numpy as np

from .attention import Attention
from .dropout import Dropout
from .layernorm import LayerNorm
from .mlp import MLP


class PostNormBlock:
    """The first transformer's block: what a branch adds is normalised together with the stream.

        mid = ln1(x + drop1(attn(x)))
        y   = ln2(mid + drop2(mlp(mid)))

    Params   attn, ln1, mlp, ln2
    Forward  x (B, T, D), rng or None to drop nothing -> y (B, T, D)
    Cache    attn, drop1, ln1, mlp, drop2, ln2: the caches of the six

    Compare block.py: there, dy runs straight through to dx. Here, the way past the branches leads
    through two layer norms a block. Each takes away a part of the gradient and divides by the
    standard deviation of its sum. Such a model can stall for good if the learning rate is large
    from the first step, and yet learn at the same rate if it grows slowly (Xiong et al. 2020,
    arXiv:2002.04745, section 3); the demo post_norm shows it.

        dsum2 = dy back through ln2         dmid = dsum2 + (dsum2 back through drop2 and mlp)
        dsum1 = dmid back through ln1       dx   = dsum1 + (dsum1 back through drop1 and attn)
    """

    def __init__(
        self,
        dim,
        heads,
        mlp_dim,
        eps=1e-6,
        dropout=0.0,
        drop_path=0.0,
        activation="gelu_tanh",
        attention=Attention,
    ):
        """dropout, drop_path: the rates at which a branch loses numbers, or an image all of it.

        activation: of the MLP, see mlp.py
        attention:  the kind, called with dim and heads, such as MaskedAttention
        """
        self.attn = attention(dim, heads)
        self.drop1 = Dropout(dropout, drop_path)
        self.ln1 = LayerNorm(dim, eps)
        self.mlp = MLP(dim, mlp_dim, activation=activation)
        self.drop2 = Dropout(dropout, drop_path)
        self.ln2 = LayerNorm(dim, eps)

    def init(self, rng, dtype=np.float32):
        return {
            "attn": self.attn.init(rng, dtype),
            "ln1": self.ln1.init(rng, dtype),
            "mlp": self.mlp.init(rng, dtype),
            "ln2": self.ln2.init(rng, dtype),
        }

    def forward(self, params, x, rng=None):
        cache = {}
        attn_out, cache["attn"] = self.attn.forward(params["attn"], x)  # (B, T, D)
        attn_kept, cache["drop1"] = self.drop1.forward(attn_out, rng)  # (B, T, D)
        sum1 = x + attn_kept  # (B, T, D)
        mid, cache["ln1"] = self.ln1.forward(params["ln1"], sum1)  # (B, T, D)
        mlp_out, cache["mlp"] = self.mlp.forward(params["mlp"], mid)  # (B, T, D)
        mlp_kept, cache["drop2"] = self.drop2.forward(mlp_out, rng)  # (B, T, D)
        sum2 = mid + mlp_kept  # (B, T, D)
        y, cache["ln2"] = self.ln2.forward(params["ln2"], sum2)  # (B, T, D)
        return y, cache

    def backward(self, params, dy, cache, grads):
        # every array below is (B, T, D)
        dsum2 = self.ln2.backward(params["ln2"], dy, cache["ln2"], grads["ln2"])
        dmlp_out = self.drop2.backward(dsum2, cache["drop2"])
        dmid_branch = self.mlp.backward(params["mlp"], dmlp_out, cache["mlp"], grads["mlp"])
        dmid = dsum2 + dmid_branch  # past the MLP, and through it
        dsum1 = self.ln1.backward(params["ln1"], dmid, cache["ln1"], grads["ln1"])
        dattn_out = self.drop1.backward(dsum1, cache["drop1"])
        dx_branch = self.attn.backward(params["attn"], dattn_out, cache["attn"], grads["attn"])
        dx = dsum1 + dx_branch  # past the attention, and through it
        return dx
