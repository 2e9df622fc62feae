"""torchvision's layout (pytorch/vision, torchvision/models/vision_transformer.py)."""

from .huggingface import IMAGENET, renamed
from .layout import (
    MATRIX,
    TABLE,
    TOKEN,
    VECTOR,
    Facts,
    Layout,
    Rule,
    linear,
    norm,
    patches,
    sizes_of_kernel,
)  # fmt: skip

BLOCK = "encoder.layers.encoder_layer_{}"
OLD_NAMES = [  # of its first versions
    (r"\.mlp\.linear_1\.", ".mlp.0."),
    (r"\.mlp\.linear_2\.", ".mlp.3."),
]
RULES = [
    *patches("conv_proj"),
    Rule("cls", ("class_token",), TOKEN),
    Rule("pos", ("encoder.pos_embedding",), TABLE),
    *norm("blocks.{}.ln1", f"{BLOCK}.ln_1"),
    Rule("blocks.{}.attn.qkv.w", (f"{BLOCK}.self_attention.in_proj_weight",), MATRIX),
    Rule("blocks.{}.attn.qkv.b", (f"{BLOCK}.self_attention.in_proj_bias",), VECTOR),
    *linear("blocks.{}.attn.proj", f"{BLOCK}.self_attention.out_proj"),
    *norm("blocks.{}.ln2", f"{BLOCK}.ln_2"),
    *linear("blocks.{}.mlp.fc1", f"{BLOCK}.mlp.0"),
    *linear("blocks.{}.mlp.fc2", f"{BLOCK}.mlp.3"),
    *norm("ln", "encoder.ln"),
    *linear("pre_logits", "heads.pre_logits"),
    *linear("head", "heads.head"),
]


def facts(shapes, configs):
    return Facts(
        heads=None, pool="cls", eps=1e-6, activation="gelu_exact", image_size=None, claims={},
        preparation=IMAGENET | {"interpolation": "bilinear"}, classes=None,
    )  # fmt: skip


TORCHVISION = Layout(
    "torchvision", renamed("", OLD_NAMES), "conv_proj.weight", RULES, sizes_of_kernel, (),
    "torchvision", facts,
)  # fmt: skip
