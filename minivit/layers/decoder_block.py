"""The blocks of a decoder (Vaswani et al. 2017, arXiv:1706.03762, figure 1, on the right)."""

from functools import partial

import numpy as np

from .block import PreNormBlock
from .cross_attention import CrossAttention
from .dropout import Dropout
from .layernorm import LayerNorm
from .masked_attention import MaskedAttention
from .mlp import MLP


class PreNormDecoderBlock:
    """Tokens look back at each other, then at the memory, then each thinks by itself.

        seen = x + drop1(attn(ln1(x)))
        mid  = seen + drop2(cross(ln2(seen), memory))
        y    = mid + drop3(mlp(ln3(mid)))

    Params   ln1, attn, ln2, cross, ln3, mlp
    Forward  x (B, T, D), memory (B, S, D), lengths and memory_lengths (B,) or None, rng or None to
             drop nothing -> y (B, T, D)
    Cache    ln1, attn, drop1, ln2, cross, drop2, ln3, mlp, drop3: the caches of the nine
    Errors   those of masked_attention.py and cross_attention.py

    It is the block of block.py with one branch more. dy runs straight through to dx; the memory
    stands beside the stream, so what comes back to it came through this one branch:

        dmid  = dy    + (dy    back through drop3, mlp and ln3)
        dseen = dmid  + (dmid  back through drop2, cross and ln2; dmemory leaves here)
        dx    = dseen + (dseen back through drop1, attn and ln1)
    """

    def __init__(
        self,
        dim,
        heads,
        mlp_dim,
        gain=1.0,
        eps=1e-6,
        dropout=0.0,
        activation="gelu_tanh",
        rotary=False,
    ):
        """`gain` scales the initial weights of the three ways back into the residual stream.

        dropout:    the rate at which a branch loses numbers
        activation: of the MLP, see mlp.py
        rotary:     whether self-attention turns q and k by their places, see rotary.py
        """
        self.ln1 = LayerNorm(dim, eps)
        self.attn = MaskedAttention(dim, heads, gain, rotary=rotary)
        self.drop1 = Dropout(dropout)
        self.ln2 = LayerNorm(dim, eps)
        self.cross = CrossAttention(dim, heads, gain)
        self.drop2 = Dropout(dropout)
        self.ln3 = LayerNorm(dim, eps)
        self.mlp = MLP(dim, mlp_dim, gain, activation)
        self.drop3 = Dropout(dropout)

    def init(self, rng, dtype=np.float32):
        return {
            "ln1": self.ln1.init(rng, dtype),
            "attn": self.attn.init(rng, dtype),
            "ln2": self.ln2.init(rng, dtype),
            "cross": self.cross.init(rng, dtype),
            "ln3": self.ln3.init(rng, dtype),
            "mlp": self.mlp.init(rng, dtype),
        }

    def forward(self, params, x, memory, lengths=None, memory_lengths=None, rng=None):
        cache = {}
        # every array below is (B, T, D)
        x_normed, cache["ln1"] = self.ln1.forward(params["ln1"], x)
        attn_out, cache["attn"] = self.attn.forward(params["attn"], x_normed, lengths)
        attn_kept, cache["drop1"] = self.drop1.forward(attn_out, rng)
        seen = x + attn_kept
        seen_normed, cache["ln2"] = self.ln2.forward(params["ln2"], seen)
        cross_out, cache["cross"] = self.cross.forward(
            params["cross"], seen_normed, memory, memory_lengths
        )
        cross_kept, cache["drop2"] = self.drop2.forward(cross_out, rng)
        mid = seen + cross_kept
        mid_normed, cache["ln3"] = self.ln3.forward(params["ln3"], mid)
        mlp_out, cache["mlp"] = self.mlp.forward(params["mlp"], mid_normed)
        mlp_kept, cache["drop3"] = self.drop3.forward(mlp_out, rng)
        y = mid + mlp_kept
        return y, cache

    def backward(self, params, dy, cache, grads):
        dmlp_out = self.drop3.backward(dy, cache["drop3"])  # (B, T, D)
        dmid_normed = self.mlp.backward(params["mlp"], dmlp_out, cache["mlp"], grads["mlp"])
        dmid_branch = self.ln3.backward(params["ln3"], dmid_normed, cache["ln3"], grads["ln3"])
        dmid = dy + dmid_branch  # (B, T, D)  straight through, and through the MLP
        dcross_out = self.drop2.backward(dmid, cache["drop2"])  # (B, T, D)
        dseen_normed, dmemory = self.cross.backward(
            params["cross"], dcross_out, cache["cross"], grads["cross"]
        )
        dseen_branch = self.ln2.backward(params["ln2"], dseen_normed, cache["ln2"], grads["ln2"])
        dseen = dmid + dseen_branch  # (B, T, D)  straight through, and through the queries
        dattn_out = self.drop1.backward(dseen, cache["drop1"])  # (B, T, D)
        dx_normed = self.attn.backward(params["attn"], dattn_out, cache["attn"], grads["attn"])
        dx_branch = self.ln1.backward(params["ln1"], dx_normed, cache["ln1"], grads["ln1"])
        dx = dseen + dx_branch  # (B, T, D)  straight through, and through the attention
        return dx, dmemory

    def begin(self, params, memory, memory_lengths=None):
        """Return the past before the first step: what is kept of the memory, and no token yet."""
        kept = self.cross.keys_and_values(params["cross"], memory, memory_lengths)
        return {"attn": None, "cross": kept}

    def step(self, params, x, past):
        """Return y (B, 1, D) of one more token x (B, 1, D), and the past for the next one.

        past: as `begin` or the step before has returned it
        """
        x_normed, _ = self.ln1.forward(params["ln1"], x)  # (B, 1, D)
        attn_out, attn_past = self.attn.step(params["attn"], x_normed, past["attn"])  # (B, 1, D)
        seen = x + attn_out  # (B, 1, D)
        seen_normed, _ = self.ln2.forward(params["ln2"], seen)  # (B, 1, D)
        mid = seen + self.cross.step(params["cross"], seen_normed, past["cross"])  # (B, 1, D)
        mid_normed, _ = self.ln3.forward(params["ln3"], mid)  # (B, 1, D)
        mlp_out, _ = self.mlp.forward(params["mlp"], mid_normed)  # (B, 1, D)
        y = mid + mlp_out  # (B, 1, D)
        return y, {"attn": attn_past, "cross": past["cross"]}


class PostNormDecoderBlock(PreNormDecoderBlock):
    """The paper's own block: what a branch adds is normalised together with the stream.

        seen = ln1(x + drop1(attn(x)))
        mid  = ln2(seen + drop2(cross(seen, memory)))
        y    = ln3(mid + drop3(mlp(mid)))

    Params   those of PreNormDecoderBlock, and so are Forward, Cache and Errors

    Compare post_norm.py. Every way back leads through the three layer norms:

        dsum3 = dy    back through ln3       dmid  = dsum3 + (dsum3 back through drop3 and mlp)
        dsum2 = dmid  back through ln2       dseen = dsum2 + (dsum2 back through drop2 and cross)
        dsum1 = dseen back through ln1       dx    = dsum1 + (dsum1 back through drop1 and attn)
    """

    def forward(self, params, x, memory, lengths=None, memory_lengths=None, rng=None):
        cache = {}
        # every array below is (B, T, D)
        attn_out, cache["attn"] = self.attn.forward(params["attn"], x, lengths)
        attn_kept, cache["drop1"] = self.drop1.forward(attn_out, rng)
        sum1 = x + attn_kept
        seen, cache["ln1"] = self.ln1.forward(params["ln1"], sum1)
        cross_out, cache["cross"] = self.cross.forward(
            params["cross"], seen, memory, memory_lengths
        )
        cross_kept, cache["drop2"] = self.drop2.forward(cross_out, rng)
        sum2 = seen + cross_kept
        mid, cache["ln2"] = self.ln2.forward(params["ln2"], sum2)
        mlp_out, cache["mlp"] = self.mlp.forward(params["mlp"], mid)
        mlp_kept, cache["drop3"] = self.drop3.forward(mlp_out, rng)
        sum3 = mid + mlp_kept
        y, cache["ln3"] = self.ln3.forward(params["ln3"], sum3)
        return y, cache

    def backward(self, params, dy, cache, grads):
        dsum3 = self.ln3.backward(params["ln3"], dy, cache["ln3"], grads["ln3"])  # (B, T, D)
        dmlp_out = self.drop3.backward(dsum3, cache["drop3"])  # (B, T, D)
        dmid_branch = self.mlp.backward(params["mlp"], dmlp_out, cache["mlp"], grads["mlp"])
        dmid = dsum3 + dmid_branch  # (B, T, D)  past the MLP, and through it
        dsum2 = self.ln2.backward(params["ln2"], dmid, cache["ln2"], grads["ln2"])  # (B, T, D)
        dcross_out = self.drop2.backward(dsum2, cache["drop2"])  # (B, T, D)
        dseen_branch, dmemory = self.cross.backward(
            params["cross"], dcross_out, cache["cross"], grads["cross"]
        )
        dseen = dsum2 + dseen_branch  # (B, T, D)  past the memory, and through the queries
        dsum1 = self.ln1.backward(params["ln1"], dseen, cache["ln1"], grads["ln1"])  # (B, T, D)
        dattn_out = self.drop1.backward(dsum1, cache["drop1"])  # (B, T, D)
        dx_branch = self.attn.backward(params["attn"], dattn_out, cache["attn"], grads["attn"])
        dx = dsum1 + dx_branch  # (B, T, D)  past the attention, and through it
        return dx, dmemory

    def step(self, params, x, past):
        attn_out, attn_past = self.attn.step(params["attn"], x, past["attn"])  # (B, 1, D)
        seen, _ = self.ln1.forward(params["ln1"], x + attn_out)  # (B, 1, D)
        cross_out = self.cross.step(params["cross"], seen, past["cross"])  # (B, 1, D)
        mid, _ = self.ln2.forward(params["ln2"], seen + cross_out)  # (B, 1, D)
        mlp_out, _ = self.mlp.forward(params["mlp"], mid)  # (B, 1, D)
        y, _ = self.ln3.forward(params["ln3"], mid + mlp_out)  # (B, 1, D)
        return y, {"attn": attn_past, "cross": past["cross"]}


class CausalBlock(PreNormBlock):
    """The block of a decoder alone, as in GPT: a pre-norm block that does not see what comes later.

    Params, Forward, Cache and the backward are those of PreNormBlock (block.py), without layer
    scale.
    """

    def __init__(self, dim, heads, mlp_dim, gain=1.0, eps=1e-6, dropout=0.0, rotary=False):
        """The arguments are those of PreNormDecoderBlock."""
        attention = partial(MaskedAttention, rotary=rotary)
        super().__init__(dim, heads, mlp_dim, gain, eps, dropout, attention=attention)

    def step(self, params, x, past=None):
        """Return y (B, 1, D) of one more token x (B, 1, D), and the past for the next one.

        past: that of `MaskedAttention.step`
        """
        x_normed, _ = self.ln1.forward(params["ln1"], x)  # (B, 1, D)
        attn_out, past = self.attn.step(params["attn"], x_normed, past)  # (B, 1, D)
        mid = x + attn_out  # (B, 1, D)
        mid_normed, _ = self.ln2.forward(params["ln2"], mid)  # (B, 1, D)
        mlp_out, _ = self.mlp.forward(params["mlp"], mid_normed)  # (B, 1, D)
        y = mid + mlp_out  # (B, 1, D)
        return y, past
