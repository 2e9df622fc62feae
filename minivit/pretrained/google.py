"""Google's layout (google-research/vision_transformer, vit_jax/models_vit.py), as .npz.

Its kernels are (in, out) already; those of the attention keep the heads apart. Flax has the tanh
form of GELU, and layer norms with eps = 1e-6.
"""

import numpy as np

from .huggingface import HALF, renamed
from .layout import TABLE, TOKEN, VECTOR, Facts, Kind, Layout, Rule

BLOCK = "Transformer/encoderblock_{}"
ATTENTION = f"{BLOCK}/MultiHeadDotProductAttention_1"
NEW_NAMES = [  # that Flax counts otherwise today
    ("/MultiHeadDotProductAttention_0/", "/MultiHeadDotProductAttention_1/"),
    ("/LayerNorm_1/", "/LayerNorm_2/"),
    ("/MlpBlock_0/", "/MlpBlock_3/"),
]
QKV = tuple(f"{ATTENTION}/{name}" for name in ("query", "key", "value"))


def _heads_apart(array, count, sizes):
    """q, k and v (…, h, d), out of (…, 3D)."""
    heads = sizes["heads"]
    return [each.reshape(*each.shape[:-1], heads, -1) for each in np.split(array, count, axis=-1)]


PLAIN = Kind(lambda theirs: theirs, lambda ours, *_: [ours])
QKV_KERNELS = Kind(  # 3 x (D, h, d)
    lambda *theirs: np.concatenate([each.reshape(len(each), -1) for each in theirs], axis=1),
    _heads_apart,
)
QKV_BIASES = Kind(VECTOR.read, _heads_apart)  # 3 x (h, d)
OUT_KERNEL = Kind(  # (h, d, D)
    lambda theirs: theirs.reshape(-1, theirs.shape[-1]),
    lambda ours, _, sizes: [ours.reshape(sizes["heads"], -1, ours.shape[1])],
)
KERNEL = Kind(  # (P, P, C, D)
    lambda theirs: theirs.reshape(-1, theirs.shape[-1]),
    lambda ours, _, sizes: [
        ours.reshape(sizes["patch_size"], sizes["patch_size"], sizes["channels"], -1)
    ],
)


def dense(ours, theirs):
    return [
        Rule(f"{ours}.w", (f"{theirs}/kernel",), PLAIN),
        Rule(f"{ours}.b", (f"{theirs}/bias",), PLAIN),
    ]


def norm(ours, theirs):
    return [
        Rule(f"{ours}.w", (f"{theirs}/scale",), PLAIN),
        Rule(f"{ours}.b", (f"{theirs}/bias",), PLAIN),
    ]


RULES = [
    Rule("patches.w", ("embedding/kernel",), KERNEL),
    Rule("patches.b", ("embedding/bias",), PLAIN),
    Rule("cls", ("cls",), TOKEN),
    Rule("pos", ("Transformer/posembed_input/pos_embedding",), TABLE),
    *norm("blocks.{}.ln1", f"{BLOCK}/LayerNorm_0"),
    Rule("blocks.{}.attn.qkv.w", tuple(f"{name}/kernel" for name in QKV), QKV_KERNELS),
    Rule("blocks.{}.attn.qkv.b", tuple(f"{name}/bias" for name in QKV), QKV_BIASES),
    Rule("blocks.{}.attn.proj.w", (f"{ATTENTION}/out/kernel",), OUT_KERNEL),
    Rule("blocks.{}.attn.proj.b", (f"{ATTENTION}/out/bias",), PLAIN),
    *norm("blocks.{}.ln2", f"{BLOCK}/LayerNorm_2"),
    *dense("blocks.{}.mlp.fc1", f"{BLOCK}/MlpBlock_3/Dense_0"),
    *dense("blocks.{}.mlp.fc2", f"{BLOCK}/MlpBlock_3/Dense_1"),
    *norm("ln", "Transformer/encoder_norm"),
    *dense("pre_logits", "pre_logits"),
    *dense("head", "head"),
]


def facts(shapes, configs):
    query = shapes.get(QKV[0].format(0) + "/kernel", ())  # (D, h, d)
    return Facts(
        heads=query[1] if len(query) == 3 else None, pool="cls" if "cls" in shapes else "mean",
        eps=1e-6, activation="gelu_tanh", image_size=None, claims={}, preparation=HALF,
        classes=None,
    )  # fmt: skip


GOOGLE = Layout(
    "google", renamed("", NEW_NAMES), "embedding/kernel", RULES,
    lambda shape: (shape[0], shape[2]), (), "google", facts,
)  # fmt: skip
