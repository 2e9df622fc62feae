"""timm's layout (huggingface/pytorch-image-models, timm/models/vision_transformer.py).

The first DeiT and DINOv2 of Facebook have the same names.
"""

import re

from .layout import (
    TABLE,
    TOKEN,
    VECTOR,
    Facts,
    Layout,
    Rule,
    claims_of,
    linear,
    norm,
    patches,
    ratio,
    sizes_of_kernel,
)

HEADS = {"tiny": 3, "small": 6, "base": 12, "large": 16, "huge": 16, "giant": 16, "gigantic": 16}
ACTIVATIONS = {None: "gelu_exact", "gelu": "gelu_exact", "gelu_tanh": "gelu_tanh"}
# architectures whose heads, activation or eps are in timm alone
ODD = "plus|gap|siglip|clip|so400m|rpn|quickgelu|test_vit|beit3|aimv2|giantopt"
ACT_LAYERS = {"gelu_exact": "gelu", "gelu_tanh": "gelu_tanh"}
POOLS = {"token": "cls", "avg": "mean"}
CLAIMS = {
    "embed_dim": "dim", "depth": "depth", "patch_size": "patch_size", "in_chans": "channels",
    "num_classes": "classes",
}  # fmt: skip
RULES = [
    *patches("patch_embed.proj"),
    Rule("cls", ("cls_token",), TOKEN),
    Rule("pos", ("pos_embed",), TABLE),
    *norm("blocks.{}.ln1", "blocks.{}.norm1"),
    *linear("blocks.{}.attn.qkv", "blocks.{}.attn.qkv"),
    *linear("blocks.{}.attn.proj", "blocks.{}.attn.proj"),
    Rule("blocks.{}.ls1.w", ("blocks.{}.ls1.gamma",), VECTOR),
    *norm("blocks.{}.ln2", "blocks.{}.norm2"),
    *linear("blocks.{}.mlp.fc1", "blocks.{}.mlp.fc1"),
    *linear("blocks.{}.mlp.fc2", "blocks.{}.mlp.fc2"),
    Rule("blocks.{}.ls2.w", ("blocks.{}.ls2.gamma",), VECTOR),
    *norm("ln", "norm"),
    *norm("pooled_ln", "fc_norm"),
    *linear("pre_logits", "pre_logits.fc"),
    *linear("head", "head"),
]


def facts(shapes, configs):
    config = configs.get("config.json", {})
    arguments = config.get("model_args") or {}
    published = config.get("pretrained_cfg") or {}
    architecture = str(config.get("architecture"))
    if re.search(ODD, architecture):
        raise ValueError(
            f"architecture {architecture[:60]} has parts that config.json does not describe"
        )
    if arguments.get("pool_include_prefix"):
        raise ValueError("it pools its class token with the patches (pool_include_prefix)")
    size = re.search(f"(?:vit|deit3?)_({'|'.join(HEADS)})_", architecture)
    pool = arguments.get("global_pool", config.get("global_pool"))
    if not config:  # the arrays tell, if timm's default was not changed
        by_mean = "fc_norm.weight" in shapes or "cls_token" not in shapes
        pool = "avg" if by_mean else "token"
    act = arguments.get("act_layer")
    if act not in ACTIVATIONS or pool not in (*POOLS, None):
        raise ValueError(
            f"config.json asks for the activation {act!s:.40} and the pooling {pool!s:.40}; "
            f"expected {' or '.join(filter(None, ACTIVATIONS))}, and {' or '.join(POOLS)}"
        )
    return Facts(
        heads=arguments.get("num_heads", HEADS[size[1]] if size else None),
        pool=POOLS.get(pool),
        eps=1e-6,
        activation=ACTIVATIONS[act],
        image_size=arguments.get("img_size") or (published.get("input_size") or [])[1:],
        claims=claims_of(arguments, CLAIMS) | claims_of(config, {"num_classes": "classes"}),
        preparation={
            "mean": published.get("mean", [0.5] * 3),
            "std": published.get("std", [0.5] * 3),
            "crop": published.get("crop_pct", 0.9),
            "squash": published.get("crop_mode") == "squash",
            "interpolation": published.get("interpolation", "bicubic"),
        },
        classes=config.get("label_names"),
    )


def config_of(model):
    """config.json for timm, with all arguments of its VisionTransformer; see save.py."""
    pool, norm_pooled = model["pool"], model["norm_pooled"]
    if model["eps"] != 1e-6 or model["pre_logits"]:
        raise ValueError(
            f"timm's layer norms have eps = 1e-06, and no hidden layer comes before its head; got "
            f"eps = {model['eps']} and pre_logits = {model['pre_logits']}"
        )
    by_mean = "token" if pool == "cls" else "avg"
    arguments = {
        "img_size": model["image_size"], "patch_size": model["patch_size"],
        "in_chans": model["channels"], "num_classes": model["classes"], "embed_dim": model["dim"],
        "depth": model["depth"], "num_heads": model["heads"],
        "mlp_ratio": ratio(model["mlp_dim"], model["dim"]), "class_token": pool != "mean",
        "global_pool": by_mean, "fc_norm": norm_pooled,
        "init_values": model["layer_scale"], "act_layer": ACT_LAYERS[model["activation"]],
    }  # fmt: skip
    return {
        "architecture": "vit_base_patch16_224",  # all that it stands for is in the arguments
        "num_classes": model["classes"],
        "num_features": model["dim"],
        "global_pool": by_mean,
        "model_args": arguments,
        "pretrained_cfg": {
            "input_size": [model["channels"], *model["image_size"]],
            "num_classes": model["classes"],
        },
    }


TIMM = Layout(
    "timm", lambda names: {name: name for name in names}, "patch_embed.proj.weight", RULES,
    sizes_of_kernel, ("mask_token",), "timm", facts, config_of,
)  # fmt: skip
