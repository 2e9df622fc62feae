"""What each layer computes, said once more: its formula, as plainly as NumPy can say it.

A gradient check compares backward with forward, so it cannot see an error that both have in common.
These functions have no line in common with the layers: they go image by image, head by head and
place by place, only forward, as in evaluation.
"""

import math

import numpy as np


def value(layer, params, x):
    """The y that a layer of minivit should give for x, in float64."""
    return FORMULAS[type(layer).__name__](layer, params, x)


def linear(layer, params, x):
    return np.einsum("...i,io->...o", x, params["w"]) + params["b"]


def gelu(layer, params, x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_exact(layer, params, x):
    phi = [0.5 * math.erfc(-each / math.sqrt(2)) for each in x.ravel()]
    return x * np.reshape(phi, x.shape)


def mlp(layer, params, x):
    hidden = linear(layer.fc1, params["fc1"], x)
    return linear(layer.fc2, params["fc2"], value(layer.act, {}, hidden))


def layernorm(layer, params, x):
    mean, var = np.mean(x, axis=-1, keepdims=True), np.var(x, axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(var + layer.eps) * params["w"] + params["b"]


def softmax(layer, params, x):
    numer = np.exp(x - x.max())
    return numer / numer.sum(axis=-1, keepdims=True)


def attention(layer, params, x):
    B, _, D = x.shape
    d = D // layer.heads
    mixes = np.zeros(x.shape)
    for b in range(B):
        q, k, v = np.split(linear(layer.qkv, params["qkv"], x[b]), 3, axis=-1)  # (T, D)
        for head in range(layer.heads):
            own = slice(head * d, head * d + d)
            att = softmax(None, {}, q[:, own] @ k[:, own].T / math.sqrt(d))  # (T, T)
            mixes[b, :, own] = att @ v[:, own]
    return linear(layer.proj, params["proj"], mixes)


def pre_norm(layer, params, x):
    mid = x + branch(layer, params, "attn", "ls1", layernorm(layer.ln1, params["ln1"], x))
    return mid + branch(layer, params, "mlp", "ls2", layernorm(layer.ln2, params["ln2"], mid))


def branch(layer, params, main, scale, x):
    y = value(getattr(layer, main), params[main], x)
    return value(getattr(layer, scale), params[scale], y)


def post_norm(layer, params, x):
    mid = layernorm(layer.ln1, params["ln1"], x + value(layer.attn, params["attn"], x))
    return layernorm(layer.ln2, params["ln2"], mid + mlp(layer.mlp, params["mlp"], mid))


def layer_scale(layer, params, x):
    return x * params["w"]


def unchanged(layer, params, x):
    return x


def patches(layer, params, images):
    P, Q = np.broadcast_to(layer.patch_size, 2)
    cut = [
        images[:, top : top + P, left : left + Q].reshape(len(images), -1)
        for top in range(0, layer.height, P)
        for left in range(0, layer.width, Q)
    ]
    return linear(layer.linear, params, np.stack(cut, axis=1))


def class_token(layer, params, x):
    return np.array([[params["cls"], *tokens] for tokens in x])


def positions(layer, params, x):
    return np.array([tokens + params["pos"] for tokens in x])


def sinusoids_1d(layer, params, x):
    y, first = x.copy(), layer.tokens - layer.places
    for place in range(layer.places):
        y[:, first + place] += waves(place, layer.dim)
    return y


def sinusoids_2d(layer, params, x):
    y, first = x.copy(), layer.tokens - layer.places
    for place in range(layer.places):
        row, column = divmod(place, layer.columns)
        of_both = [*waves(row, layer.dim // 2), *waves(column, layer.dim // 2)]
        y[:, first + place] += of_both
    return y


def waves(place, D):
    """Sine and cosine of a place, at D/2 rates."""
    angles = [place / 10000 ** (2 * i / D) for i in range(D // 2)]
    return [wave(angle) for angle in angles for wave in (math.sin, math.cos)]


def twice(layer, params, x):
    return np.array([[*a, *b] for a, b in zip(x, value(layer.pos, params, x), strict=True)])


def mean_pool(layer, params, x):
    return sum(x[:, t] for t in range(x.shape[1])) / x.shape[1]


def patch_mean_pool(layer, params, x):
    return mean_pool(layer, params, x[:, 1:])


def first_token(layer, params, x):
    return x[:, 0]


def pre_logits(layer, params, x):
    return np.tanh(linear(layer.linear, params, x))


def convolution(layer, params, x):
    _, H, W, _ = x.shape
    edge = layer.kernel // 2
    padded = np.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    squares = [
        padded[:, i : i + layer.kernel, j : j + layer.kernel].reshape(len(x), -1)
        for i, j in np.ndindex(H, W)
    ]
    return linear(layer.linear, params, np.stack(squares, axis=1).reshape(len(x), H, W, -1))


def strided(layer, params, x):
    K, step = layer.kernel, layer.stride
    tops, lefts = range(0, layer.height - K + 1, step), range(0, layer.width - K + 1, step)
    squares = [
        x[:, top : top + K, left : left + K].reshape(len(x), -1) for top in tops for left in lefts
    ]
    seen = linear(layer.linear, params, np.stack(squares, axis=1))
    return gelu(layer.act, {}, seen).reshape(len(x), len(tops), len(lefts), -1)


def stem(layer, params, x):
    for conv, conv_params in zip(layer.convs, params["convs"], strict=True):
        x = strided(conv, conv_params, x)
    return x


def halve(layer, params, x):
    return (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4


def stage(layer, params, x):
    seen = convolution(layer.conv, params["conv"], x)
    return gelu(layer.act, {}, layernorm(layer.ln, params["ln"], seen))


def cnn(model, params, x):
    for number, layer in enumerate(model.stages):
        x = stage(layer, params["stages"][number], x if number == 0 else halve(None, {}, x))
    return linear(model.head, params["head"], x.mean(axis=(1, 2)))


def encoder(model, params, images):
    x = patches(model.patches, params["patches"], images)
    x = value(model.pos, params, value(model.cls, params, x))
    for block, block_params in zip(model.blocks, params["blocks"], strict=True):
        x = value(block, block_params, x)
    return value(model.ln, params["ln"], x)


def permutation(model, params, images):
    """With the patches in their order, of which the last know where they are."""
    x = patches(model.patches, params["patches"], images)
    x[:, model.asked :] = value(model.pos.pos, params, x)[:, model.asked :]
    for block, block_params in zip(model.blocks, params["blocks"], strict=True):
        x = value(block, block_params, x)
    tokens = value(model.ln, params["ln"], x)
    return linear(model.head, params["head"], tokens[:, : model.asked])


def masked(model, params, images):
    """With nothing missing."""
    decoder, its = model.decoder, params["decoder"]
    x = linear(decoder.narrow, its["narrow"], encoder(model, params, images))
    x = value(decoder.pos, {}, x)
    for block, block_params in zip(decoder.blocks, its["blocks"], strict=True):
        x = value(block, block_params, x)
    return linear(decoder.head, its["head"], layernorm(decoder.ln, its["ln"], x))


def patch_boxes(layer, params, x):
    boxes, P = np.zeros(x.shape), layer.patch_size
    for b, n in np.ndindex(x.shape[:2]):
        row, column = divmod(n, layer.columns)
        for axis, place in enumerate((column, row)):
            middle, size = (place + 0.5 + x[b, n, axis]) * P, P * math.exp(x[b, n, 2 + axis])
            boxes[b, n, axis], boxes[b, n, 2 + axis] = middle - size / 2, middle + size / 2
    return boxes


def detector(model, params, images):
    out = linear(model.head, params["head"], encoder(model, params, images))
    return np.concatenate([out[..., :-4], patch_boxes(model.boxes, {}, out[..., -4:])], axis=-1)


def vit(model, params, images):
    seen = value(model.stem, params["stem"], images)
    pooled = value(model.pool, {}, encoder(model, params, seen))
    normed = value(model.pooled_ln, params["pooled_ln"], pooled)
    return value(model.head, params["head"], value(model.pre_logits, params["pre_logits"], normed))


def cross_entropy(logits, labels, smoothing):
    """The mean of −Σ target · log p over the images."""
    losses = []
    for row, label in zip(logits, labels, strict=True):
        log_p = row - row.max() - math.log(np.exp(row - row.max()).sum())
        target = np.full(len(row), smoothing / len(row))
        target[label] += 1 - smoothing
        losses.append(-(target @ log_p))
    return sum(losses) / len(losses)


FORMULAS = {
    "Linear": linear, "GELU": gelu, "ExactGELU": gelu_exact, "MLP": mlp, "LayerNorm": layernorm,
    "Softmax": softmax, "Attention": attention, "Dropout": unchanged, "PreNormBlock": pre_norm,
    "LayerScale": layer_scale, "PostNormBlock": post_norm, "Identity": unchanged,
    "Patches": patches, "ClassToken": class_token, "Positions": positions,
    "SinusoidalPositions": sinusoids_1d, "SinusoidalPositions2D": sinusoids_2d,
    "MeanPool": mean_pool, "PatchMeanPool": patch_mean_pool, "FirstToken": first_token,
    "PreLogits": pre_logits, "Convolution": convolution, "Halve": halve, "Stage": stage,
    "StridedConvolution": strided, "Stem": stem,
    "KeepTokens": unchanged, "FillTokens": unchanged, "Twice": twice, "PatchBoxes": patch_boxes,
    "CNN": cnn, "Encoder": encoder, "Permutation": permutation, "Masked": masked,
    "Detector": detector, "ViT": vit,
}  # fmt: skip
