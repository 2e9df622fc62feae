"""The same reader, an encoder and a decoder, as a PyTorch user writes it.

`tests/demos/test_benchmark.py` holds it equal to minivit's: loss, gradients and steps of AdamW.
"""

from collections import OrderedDict

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from minivit.layers.sinusoids import sinusoids

from .torch_vit import Attention, Block, cut


class CausalAttention(Attention):
    causal = True


class CrossAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, memory):
        (B, T, D), S, h = x.shape, memory.shape[1], self.heads
        q = self.q(x).view(B, T, h, D // h).transpose(1, 2)
        k, v = self.kv(memory).view(B, S, 2, h, D // h).permute(2, 0, 3, 1, 4)
        mix = F.scaled_dot_product_attention(q, k, v)  # (B, h, T, d)
        return self.proj(mix.transpose(1, 2).reshape(B, T, D))


class DecoderBlock(nn.Module):
    def __init__(self, dim, heads, mlp_dim, eps):
        super().__init__()
        self.ln1 = nn.LayerNorm(dim, eps)
        self.attn = CausalAttention(dim, heads)
        self.ln2 = nn.LayerNorm(dim, eps)
        self.cross = CrossAttention(dim, heads)
        self.ln3 = nn.LayerNorm(dim, eps)
        fc1, fc2 = nn.Linear(dim, mlp_dim), nn.Linear(mlp_dim, dim)
        self.mlp = nn.Sequential(OrderedDict(fc1=fc1, act=nn.GELU("tanh"), fc2=fc2))

    def forward(self, x, memory):
        x = x + self.attn(self.ln1(x))
        x = x + self.cross(self.ln2(x), memory)
        return x + self.mlp(self.ln3(x))


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps = config["dim"], config.get("eps", 1e-6)
        self.embed = nn.Embedding(config["words"], dim)
        places = torch.from_numpy(sinusoids(np, config["longest"] + 1, dim))
        self.register_buffer("places", places, persistent=False)
        self.blocks = nn.ModuleList(
            DecoderBlock(dim, config["heads"], config["mlp_dim"], eps)
            for _ in range(config["decoder_depth"])
        )
        self.ln = nn.LayerNorm(dim, eps)

    def forward(self, tokens, memory):
        x = self.embed(tokens) * self.ln.weight.numel() ** 0.5
        x = x + self.places[: tokens.shape[1]].to(x.dtype)
        for block in self.blocks:
            x = block(x, memory)
        return self.ln(x) @ self.embed.weight.T


class TorchReader(nn.Module):
    """images (B, H, W, C), tokens (B, T) -> logits (B, T, V), as in minivit."""

    def __init__(self, config):
        """config: the arguments of minivit's Reader; learned positions of the patches only."""
        super().__init__()
        height, width = config["image_size"]
        dim, eps = config["dim"], config.get("eps", 1e-6)
        self.patch_size = P, Q = config["patch_size"]
        self.patches = nn.Linear(P * Q * config["channels"], dim)
        self.pos = nn.Parameter(torch.zeros((height // P) * (width // Q), dim))
        self.blocks = nn.ModuleList(
            Block(dim, config["heads"], config["mlp_dim"], eps) for _ in range(config["depth"])
        )
        self.ln = nn.LayerNorm(dim, eps)
        self.decoder = Decoder(config)

    def forward(self, images, tokens):
        x = self.patches(cut(images, *self.patch_size)) + self.pos
        for block in self.blocks:
            x = block(x)
        return self.decoder(tokens, self.ln(x))


def loss_of(model, images, labels):
    """The loss in nats a text, of labels (B, T + 1) without padding."""
    logits = model(images, labels[:, :-1])
    targets = labels[:, 1:]
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum") / len(labels)
