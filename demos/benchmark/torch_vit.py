"""The same Vision Transformer as a PyTorch user writes it.

`tests/demos/test_benchmark.py` holds it equal to minivit's: loss, gradients and steps of AdamW.
"""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    causal = False

    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        mix = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)  # (B, h, T, d)
        return self.proj(mix.transpose(1, 2).reshape(B, T, D))


class Block(nn.Module):
    def __init__(self, dim, heads, mlp_dim, eps):
        super().__init__()
        self.ln1 = nn.LayerNorm(dim, eps)
        self.attn = Attention(dim, heads)
        self.ln2 = nn.LayerNorm(dim, eps)
        fc1, fc2 = nn.Linear(dim, mlp_dim), nn.Linear(mlp_dim, dim)
        self.mlp = nn.Sequential(OrderedDict(fc1=fc1, act=nn.GELU("tanh"), fc2=fc2))

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class TorchViT(nn.Module):
    """images (B, H, W, C) -> logits (B, K), as in minivit."""

    def __init__(self, config):
        """config: the arguments of minivit's ViT; learned positions and mean pooling only."""
        super().__init__()
        height, width = config["image_size"]
        dim, eps = config["dim"], config.get("eps", 1e-6)
        self.patch_size = P = config["patch_size"]
        self.patches = nn.Linear(P * P * config["channels"], dim)
        self.pos = nn.Parameter(torch.zeros((height // P) * (width // P), dim))
        self.blocks = nn.ModuleList(
            Block(dim, config["heads"], config["mlp_dim"], eps) for _ in range(config["depth"])
        )
        self.ln = nn.LayerNorm(dim, eps)
        self.head = nn.Linear(dim, config["classes"])

    def forward(self, images):
        x = self.patches(cut(images, self.patch_size, self.patch_size)) + self.pos
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln(x).mean(dim=1))


def cut(images, P, Q):
    """Patches (B, N, P·Q·C) of images (B, H, W, C)."""
    B, H, W, C = images.shape
    grid = images.view(B, H // P, P, W // Q, Q, C).transpose(2, 3)
    return grid.reshape(B, -1, P * Q * C)


def twin(config, params, kind=TorchViT):
    """The PyTorch model of minivit's `ViT(**config)`, or of another kind, with its parameters."""
    model = kind(config)
    state = {}
    for name, leaf in params.named():
        last = {"w": "weight", "b": "bias"}.get(name.rpartition(".")[2])
        key = f"{name[:-1]}{last}" if last else name
        turned = last and leaf.ndim == 2 and not name.endswith("embed.w")
        state[key] = torch.tensor(leaf.T if turned else leaf)
    model.to(next(iter(state.values())).dtype)
    model.load_state_dict(state)
    return model


def adamw(named, lr, betas, decay):
    """PyTorch's own AdamW in its fastest form, for (name, parameter) pairs; only matrices decay."""
    matrices, others = [], []
    for name, leaf in named:
        (matrices if name.endswith("weight") and leaf.ndim == 2 else others).append(leaf)
    groups = [dict(params=matrices, weight_decay=decay), dict(params=others, weight_decay=0.0)]
    return torch.optim.AdamW(groups, lr=lr, betas=betas, fused=True)
