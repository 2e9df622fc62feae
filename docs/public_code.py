"""Backward passes that are public: where they are, how gradcheck takes them, what it says.

`found` is what reading the code shows, and `says` what the report must contain. No line of theirs
is here: a function gets the Source, a folder with the repository at the commit.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minivit import gradcheck


class Neighbour(NamedTuple):
    repository: str  # owner/name
    commit: str
    file: str
    name: str  # of the class or function
    licence: str
    found: str  # by reading the code: "right", or what is wrong
    says: str  # in the report, the sentence about it; "" if all gradients agree
    true: str  # whether that sentence is true: "yes", or in how far
    run: Callable[[Any], Any]  # Source -> Report

    @property
    def folder(self):
        return self.repository.replace("/", "+")


NEIGHBOURS: list[Neighbour] = []


def neighbour(repository, commit, file, name, licence="none", found="right", says="", true="yes"):
    """Add the function, which runs it, to NEIGHBOURS."""

    def add(run):
        NEIGHBOURS.append(
            Neighbour(repository, commit, file, name, licence, found, says, true, run)
        )
        return run

    return add


def numbers(*shape):
    return np.random.default_rng(7).normal(size=shape)


ROWS, TOKENS = (5, 7), (2, 5, 6)
ONES, ZEROS = np.ones(6), np.zeros(6)


@neighbour(
    "mantasu/cs231n", "3055b1c54e4fcb5b7a00ea381922a2dd1437a30a",
    "assignment2/cs231n/layers.py", "layernorm_backward",
)  # fmt: skip
def cs231n(source):
    layers = source.module("cs231n.layers", "assignment2")
    functions = layers.layernorm_forward, layers.layernorm_backward
    return gradcheck(*functions, numbers(*ROWS), np.ones(7), np.zeros(7), {})


@neighbour(
    "jariasf/CS231n", "306a3ac834b9a9501c36a63a568370084c167efe",
    "assignment2/cs231n/layers.py", "layernorm_backward",
)  # fmt: skip
def cs231n_2020(source):
    return cs231n(source)


@neighbour(
    "karpathy/llm.c", "f1e2ace651495b74ae22d45d1723443fd00ecd3a",
    "doc/layernorm/layernorm.py", "LayerNorm", licence="MIT",
)  # fmt: skip
def llm_c(source):
    import torch

    layer = source.definitions("doc/layernorm/layernorm.py").LayerNorm

    def forward(x, w, b):
        y, cache = layer.forward(*map(torch.from_numpy, (x, w, b)))
        return y.numpy(), cache

    def backward(dout, cache):
        return [each.numpy() for each in layer.backward(torch.from_numpy(dout), cache)]

    return gradcheck(forward, backward, numbers(*TOKENS), ONES, ZEROS, order=("x", "w", "b"))


@neighbour(
    "oreilly-japan/deep-learning-from-scratch-2", "842ae31c2bb070f5116275606ed90396626a2c17",
    "ch08/attention_layer.py", "TimeAttention", licence="MIT",
)  # fmt: skip
def deep_learning_from_scratch(source):
    attention = source.module("ch08.attention_layer").TimeAttention()
    return gradcheck(attention, numbers(2, 7, 6), numbers(*TOKENS))


@neighbour(
    "libaohang/ViT-NumPy", "76a52af8a2423a5288be0f1e8e63fa7a6c805260",
    "Attention.py", "MultiHeadAttention", licence="MIT",
)  # fmt: skip
def vit_numpy_attention(source):
    return gradcheck(source.module("Attention").MultiHeadAttention(6, 2), numbers(*TOKENS))


@neighbour(
    "libaohang/ViT-NumPy", "76a52af8a2423a5288be0f1e8e63fa7a6c805260",
    "PatchEmbedding.py", "PatchEmbedding", licence="MIT",
)  # fmt: skip
def vit_numpy_patches(source):
    return gradcheck(source.module("PatchEmbedding").PatchEmbedding(2, 3, 5), numbers(2, 4, 6, 3))


@neighbour(
    "YVSemlani/numpy-transformer", "e49e522766c969ce1ca5d331ecaad3af78464e9c",
    "modules/attention.py", "SingleHeadCrossAttention",
)  # fmt: skip
def numpy_transformer_cross(source):
    attention = source.module("modules.attention").SingleHeadCrossAttention(6)
    return gradcheck(attention, numbers(*TOKENS), numbers(2, 4, 6))


@neighbour(
    "rziga/numpy-is-all-you-need", "e437c7b4ee04587b9d0da21a7402b258dcfb8aca",
    "src/nn/layers/attention.py", "SelfAttention",
)  # fmt: skip
def numpy_is_all_you_need(source):
    attention = source.module("nn.layers.attention", "src").SelfAttention(2, 6, 3)
    return gradcheck(attention, numbers(*TOKENS))


@neighbour(
    "DanFosing/numpy_ai", "c4b076ed80df84ca648bee3bf86cdde847ddab55",
    "modules/attention.py", "Attention (4 heads, keys and values of 2)", licence="MIT",
)  # fmt: skip
def numpy_ai(source):
    return gradcheck(source.module("modules.attention").Attention(8, 4, 2), numbers(2, 5, 8))


@neighbour(
    "dscamiss/attention-gradient", "560c43e34869e6c0e4fd6e5a5fa49a8a27f035cd",
    "attention.py", "Attention, a torch.autograd.Function", licence="MIT",
)  # fmt: skip
def attention_gradient(source):
    import torch

    return gradcheck(source.module("attention").Attention, torch.from_numpy(numbers(5, 9)))


@neighbour(
    "andrescastillovega/TSFM_lecture_3_transformers", "4f0b2c65ec53a6399e0848a525a16a242f52f199",
    "transformer.py", "multi_head_attention_backward, causal",
)  # fmt: skip
def lecture(source):
    code = source.module("transformer")
    functions = code.multi_head_attention, code.multi_head_attention_backward
    return gradcheck(*functions, *numbers(3, 2, 2, 5, 3), False)


@neighbour(
    "Ultron09/Numpy-Transformer", "d9e0e9b5716fe918de31ac24e0b9a48cda838a70",
    "layers.py", "SwiGLU", licence="MIT (README)",
)  # fmt: skip
def ultron_swiglu(source):
    return gradcheck(source.module("layers").SwiGLU(6, 8), numbers(*TOKENS))


@neighbour(
    "jyan1237/11785-hw4", "fe6c3cfcb80f3f0a86ef72ed630cead22350eda3",
    "mytorch/nn/scaled_dot_product_attention.py", "ScaledDotProductAttention",
)  # fmt: skip
def cmu(source):
    """The homework of CMU 11-785: values of another width than keys."""
    code = source.module("mytorch.nn.scaled_dot_product_attention")
    shapes = (2, 2, 6, 3), (2, 2, 5, 3), (2, 2, 5, 4)
    return gradcheck(code.ScaledDotProductAttention(), *(numbers(*shape) for shape in shapes))


@neighbour(
    "lucidrains/memory-efficient-attention-pytorch", "d54f391370ecbf843a871f0e260425d076995550",
    "memory_efficient_attention_pytorch/flash_attention.py", "FlashAttentionFunction",
    licence="MIT", found="right, in PyTorch's default dtype: it makes its buffers in that",
)  # fmt: skip
def flash(source):
    import torch

    code = source.definitions("memory_efficient_attention_pytorch/flash_attention.py")
    arrays = map(torch.from_numpy, numbers(3, 2, 2, 5, 3))
    torch.set_default_dtype(torch.float64)
    try:
        return gradcheck(code.FlashAttentionFunction, *arrays, None, False, 3, 2)
    finally:
        torch.set_default_dtype(torch.float32)
