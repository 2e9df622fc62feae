"""The formulas of layers that read and write sequences, once more (see formulas.py).

Their x is that of one_input.py: with the memory behind it, and with lengths of its own.
"""

import math
from functools import partial

import numpy as np

from . import formulas
from .formulas import FORMULAS, layernorm, linear, mlp
from .one_input import lengths_of, words_at


def split(layer, x):
    """(x, its lengths, memory, its lengths) of a layer's one input."""
    tokens, padded = getattr(layer, "tokens", None), getattr(layer, "padded", False)
    for part in [x] if tokens is None else [x[:, :tokens], x[:, tokens:]]:
        yield part
        yield lengths_of(part) if padded else [part.shape[1]] * len(part)


def mixes(q, k, v, sees):
    """One head, query by query: the mean of the values that it sees, weighted by exp(score)."""
    mixed = []
    for t, query in enumerate(q):
        seen = [s for s in range(len(k)) if sees(t, s)]
        scores = np.array([sum(query * k[s]) / math.sqrt(len(query)) for s in seen])
        numer = np.exp(scores - scores.max())
        mixed.append(numer @ v[seen] / numer.sum())
    return np.array(mixed)


def look_back(layer, params, x, lengths):
    q, k, v = np.split(linear(layer.qkv, params["qkv"], x), 3, axis=-1)

    def sees(b, t, s):
        return s < lengths[b] and (s <= t or not layer.causal)

    return every_head(layer, params, placed(layer, q), placed(layer, k), v, sees)


def look_at(layer, params, x, memory, lengths):
    q = linear(layer.q, params["q"], x)
    k, v = np.split(linear(layer.kv, params["kv"], memory), 2, axis=-1)
    return every_head(layer, params, q, k, v, lambda b, t, s: s < lengths[b])


def every_head(layer, params, q, k, v, sees):
    mixed, d = np.zeros(q.shape), q.shape[-1] // layer.heads
    for b, head in np.ndindex(len(q), layer.heads):
        own = slice(head * d, head * d + d)
        mixed[b, :, own] = mixes(q[b, :, own], k[b, :, own], v[b, :, own], partial(sees, b))
    return linear(layer.proj, params["proj"], mixed)


def placed(layer, x):
    """q or k (B, T, D), turned head by head if the layer turns them."""
    heads = np.split(x, layer.heads, axis=-1)
    return np.concatenate([turn(head) if layer.rotary else head for head in heads], axis=-1)


def turn(x):
    """Pairs of features (..., T, d) as complex numbers, times a complex number of length one."""
    pairs, d = x[..., ::2] + 1j * x[..., 1::2], x.shape[-1]
    for t in range(x.shape[-2]):
        for i in range(d // 2):
            pairs[..., t, i] *= np.exp(1j * t / 10000 ** (2 * i / d))
    return np.stack([pairs.real, pairs.imag], axis=-1).reshape(x.shape)


def rotary(layer, params, x):
    return turn(x)


def masked_attention(layer, params, x):
    return look_back(layer, params, *split(layer, x))


def cross_attention(layer, params, both):
    x, _, memory, lengths = split(layer, both)
    return look_at(layer, params, x, memory, lengths)


def pre_norm_decoder(layer, params, both):
    return pre_norm_block(layer, params, *split(layer, both))


def pre_norm_block(layer, params, x, lengths, memory, memory_lengths):
    normed = layernorm(layer.ln1, params["ln1"], x)
    x = x + look_back(layer.attn, params["attn"], normed, lengths)
    normed = layernorm(layer.ln2, params["ln2"], x)
    x = x + look_at(layer.cross, params["cross"], normed, memory, memory_lengths)
    return x + mlp(layer.mlp, params["mlp"], layernorm(layer.ln3, params["ln3"], x))


def post_norm_decoder(layer, params, both):
    return post_norm_block(layer, params, *split(layer, both))


def post_norm_block(layer, params, x, lengths, memory, memory_lengths):
    x = x + look_back(layer.attn, params["attn"], x, lengths)
    x = layernorm(layer.ln1, params["ln1"], x)
    x = x + look_at(layer.cross, params["cross"], x, memory, memory_lengths)
    x = layernorm(layer.ln2, params["ln2"], x)
    return layernorm(layer.ln3, params["ln3"], x + mlp(layer.mlp, params["mlp"], x))


def causal_block(layer, params, x):
    normed, lengths = layernorm(layer.ln1, params["ln1"], x), [x.shape[1]] * len(x)
    mid = x + look_back(layer.attn, params["attn"], normed, lengths)
    return mid + mlp(layer.mlp, params["mlp"], layernorm(layer.ln2, params["ln2"], mid))


def embedding(layer, params, x):
    y = x.copy()
    for place in np.ndindex(x.shape[:2]):
        y[place] += params["w"][words_at(x, layer.words)[place]] * math.sqrt(layer.dim)
    return y


def shared_words(layer, params, x):
    return np.einsum("btd,vd->btv", embedding(layer, params, x), params["w"])


def decoder(model, params, memory):
    """Of the text that a WritingDecoder always writes."""
    B, T, D = len(memory), model.length, model.dim
    x = embedding(model.embed, params["embed"], np.zeros((B, T, D)))
    if model.positions == "sincos1d":
        x = x + [formulas.waves(place, D) for place in range(T)]
    for block, block_params in zip(model.blocks, params["blocks"], strict=True):
        form = pre_norm_block if model.config["norm"] == "pre" else post_norm_block
        x = form(block, block_params, x, [T] * B, memory, [memory.shape[1]] * B)
    x = formulas.value(model.ln, params["ln"], x)
    if model.shared:
        return np.einsum("btd,vd->btv", x, params["embed"]["w"])
    return linear(model.head, params["head"], x)


def reader(model, params, images):
    memory = formulas.encoder(model, params, images)
    return decoder(model.decoder, params["decoder"], memory)


def sequence_cross_entropy(logits, targets, lengths, smoothing):
    """Sequence by sequence and token by token."""
    losses = [
        formulas.cross_entropy(logits[b, t : t + 1], targets[b, t : t + 1], smoothing)
        for b, length in enumerate(lengths)
        for t in range(length)
    ]
    return sum(losses) / len(losses)


FORMULAS |= {  # where `formulas.value` finds them
    "Rotary": rotary, "MaskedAttention": masked_attention, "CrossAttention": cross_attention,
    "PreNormDecoderBlock": pre_norm_decoder, "PostNormDecoderBlock": post_norm_decoder,
    "CausalBlock": causal_block, "Embedding": embedding, "SharedWords": shared_words,
    "Decoder": decoder, "Reader": reader,
}  # fmt: skip
