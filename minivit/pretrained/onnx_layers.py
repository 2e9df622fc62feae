"""The forward of each layer in the operators of ONNX (onnx.ai/onnx/operators), opset 20.

Each function adds one layer to a graph: g is its Scope (onnx_graph.py), x the name of its input.
Dropout, which evaluation does without, is left out.
"""

import numpy as np

from .. import layers

TO_THE_END = 2**63 - 1  # of an axis, however long it is


def vit(g, images, result):
    x = g.part("stem", images)
    x = g.part("patches", x)  # (B, N, D)
    x = g.part("cls", x)  # (B, T, D)
    x = g.part("pos", x)
    x = g.part("blocks", x)
    tokens = g.part("ln", x)
    pooled = g.part("pool", tokens)  # (B, D)
    normed = g.part("pooled_ln", pooled)
    features = g.part("pre_logits", normed)
    logits = g.part("head", features)  # (B, K)
    return g.add(result, "Identity", logits)


def chain(g, x):
    for number in range(len(g.layer)):
        x = g.part(number, x)
    return x


def identity(g, x):
    return x


def patches(g, images):
    P, C, rows, columns = g.layer.patch_size, g.layer.channels, g.layer.rows, g.layer.columns
    # a 0 keeps the size of its axis, that of the batch
    grid = g.add("grid", "Reshape", images, [0, rows, P, columns, P, C])
    moved = g.add("moved", "Transpose", grid, perm=[0, 1, 3, 2, 4, 5])
    cut = g.add("patches", "Reshape", moved, [0, rows * columns, P * P * C])
    return linear(g, cut)


def stem(g, x):
    return g.part("convs", x)


def strided_convolution(g, x):
    K, stride = g.layer.kernel, g.layer.stride
    square = g.add("square", "Reshape", g.name("w"), [K, K, g.layer.channels, -1])
    kernels = g.add("kernels", "Transpose", square, perm=[3, 2, 0, 1])  # (D, C, K, K)
    planes = g.add("planes", "Transpose", x, perm=[0, 3, 1, 2])  # (B, C, H, W)
    seen = g.add("seen", "Conv", planes, kernels, g.name("b"), strides=[stride, stride])
    pixels = g.add("pixels", "Transpose", seen, perm=[0, 2, 3, 1])  # (B, R, S, D)
    return g.part("act", pixels)


def class_token(g, x):
    batch = g.add("batch", "Shape", x, end=1)  # [B]
    shape = g.add("shape", "Concat", batch, [1, g.layer.dim], axis=0)
    first = g.add("first", "Expand", g.path, shape)  # (B, 1, D)
    return g.add("y", "Concat", first, x, axis=1)


def positions(g, x):
    return g.add("y", "Add", x, g.path)


def sinusoids(g, x):
    table, _ = g.layer.forward({}, np.zeros((1, g.layer.tokens, g.layer.dim), np.float32))
    g.add_parameter(table[0])
    return positions(g, x)


def pre_norm_block(g, x):
    x_normed = g.part("ln1", x)
    attn_out = g.part("attn", x_normed)
    attn_scaled = g.part("ls1", attn_out)
    mid = g.add("mid", "Add", x, attn_scaled)
    mid_normed = g.part("ln2", mid)
    mlp_out = g.part("mlp", mid_normed)
    mlp_scaled = g.part("ls2", mlp_out)
    return g.add("y", "Add", mid, mlp_scaled)


def post_norm_block(g, x):
    attn_out = g.part("attn", x)
    sum1 = g.add("sum1", "Add", x, attn_out)
    mid = g.part("ln1", sum1)
    mlp_out = g.part("mlp", mid)
    sum2 = g.add("sum2", "Add", mid, mlp_out)
    return g.part("ln2", sum2)


def attention(g, x):
    h, D = g.layer.heads, g.layer.dim
    qkv = g.part("qkv", x)  # (B, T, 3D)
    heads = g.add("heads", "Reshape", qkv, [0, 0, 3, h, D // h])
    three = g.add("three", "Transpose", heads, perm=[2, 0, 3, 1, 4])  # (3, B, h, T, d)
    q, k, v = (g.add(name, "Gather", three, i, axis=0) for i, name in enumerate("qkv"))
    k_transposed = g.add("k.mT", "Transpose", k, perm=[0, 1, 3, 2])
    products = g.add("products", "MatMul", q, k_transposed)
    scores = g.add("scores", "Mul", products, g.layer.scale)  # (B, h, T, T)
    att = g.add("att", "Softmax", scores, axis=-1)
    mix = g.add("mix", "MatMul", att, v)  # (B, h, T, d)
    beside = g.add("beside", "Transpose", mix, perm=[0, 2, 1, 3])
    merged = g.add("merged", "Reshape", beside, [0, 0, D])
    return g.part("proj", merged)


def mlp(g, x):
    hidden = g.part("fc1", x)  # (B, T, F)
    gated = g.part("act", hidden)
    return g.part("fc2", gated)


def linear(g, x, y="y"):
    product = g.add("product", "MatMul", x, g.name("w"))
    return g.add(y, "Add", product, g.name("b"))


def layernorm(g, x):
    w, b = g.name("w"), g.name("b")
    return g.add("y", "LayerNormalization", x, w, b, axis=-1, epsilon=g.layer.eps)


def layer_scale(g, x):
    return g.add("y", "Mul", x, g.name("w"))


def gelu(g, x):
    return g.add("y", "Gelu", x, approximate="tanh")


def exact_gelu(g, x):
    return g.add("y", "Gelu", x, approximate="none")


def mean_pool(g, x):
    return g.add("y", "ReduceMean", x, [1], keepdims=0)


def patch_mean_pool(g, x):
    of_patches = g.add("of_patches", "Slice", x, [1], [TO_THE_END], [1])  # x[:, 1:]
    return mean_pool(g, of_patches)


def first_token(g, x):
    return g.add("y", "Gather", x, 0, axis=1)


def pre_logits(g, x):
    out = linear(g, x, "out")
    return g.add("y", "Tanh", out)


FORWARDS = {
    list: chain,
    layers.Attention: attention,
    layers.ClassToken: class_token,
    layers.ExactGELU: exact_gelu,
    layers.FirstToken: first_token,
    layers.GELU: gelu,
    layers.Identity: identity,
    layers.LayerNorm: layernorm,
    layers.LayerScale: layer_scale,
    layers.Linear: linear,
    layers.MLP: mlp,
    layers.MeanPool: mean_pool,
    layers.PatchMeanPool: patch_mean_pool,
    layers.Patches: patches,
    layers.Positions: positions,
    layers.PostNormBlock: post_norm_block,
    layers.PreLogits: pre_logits,
    layers.PreNormBlock: pre_norm_block,
    layers.SinusoidalPositions: sinusoids,
    layers.SinusoidalPositions2D: sinusoids,
    layers.Stem: stem,
    layers.StridedConvolution: strided_convolution,
}
