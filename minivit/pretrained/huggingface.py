"""Hugging Face's layouts: ViTModel, ViTForImageClassification and Dinov2Model of transformers.

The rules have the names of published files, which transformers 5 writes as well. Its models call
some of them otherwise; `rename` knows both.
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

ACTIVATIONS = {
    "gelu": "gelu_exact", "gelu_python": "gelu_exact", "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}  # fmt: skip
CLAIMS = {
    "hidden_size": "dim", "num_hidden_layers": "depth", "intermediate_size": "mlp_dim",
    "patch_size": "patch_size", "num_channels": "channels",
}  # fmt: skip
HIDDEN_ACTS = {"gelu_exact": "gelu", "gelu_tanh": "gelu_pytorch_tanh"}
INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers
NEW_NAMES = [  # of transformers 5
    (r"^layers\.", "encoder.layer."),
    (r"\.attention\.q_proj\.", ".attention.attention.query."),
    (r"\.attention\.k_proj\.", ".attention.attention.key."),
    (r"\.attention\.v_proj\.", ".attention.attention.value."),
    (r"\.attention\.o_proj\.", ".attention.output.dense."),
]
NEW_VIT_NAMES = [(r"\.mlp\.fc1\.", ".intermediate.dense."), (r"\.mlp\.fc2\.", ".output.dense.")]
ATTENTION = "encoder.layer.{}.attention"
START = [
    *patches("embeddings.patch_embeddings.projection"),
    Rule("cls", ("embeddings.cls_token",), TOKEN),
    Rule("pos", ("embeddings.position_embeddings",), TABLE),
    *linear(
        "blocks.{}.attn.qkv",
        *(f"{ATTENTION}.attention.{name}" for name in ("query", "key", "value")),
    ),
    *linear("blocks.{}.attn.proj", f"{ATTENTION}.output.dense"),
]
VIT_RULES = [
    *START,
    *norm("blocks.{}.ln1", "encoder.layer.{}.layernorm_before"),
    *norm("blocks.{}.ln2", "encoder.layer.{}.layernorm_after"),
    *linear("blocks.{}.mlp.fc1", "encoder.layer.{}.intermediate.dense"),
    *linear("blocks.{}.mlp.fc2", "encoder.layer.{}.output.dense"),
    *norm("ln", "layernorm"),
    *linear("pre_logits", "pooler.dense"),
    *linear("head", "classifier"),
]
DINOV2_RULES = [
    *START,
    *norm("blocks.{}.ln1", "encoder.layer.{}.norm1"),
    Rule("blocks.{}.ls1.w", ("encoder.layer.{}.layer_scale1.lambda1",), VECTOR),
    *norm("blocks.{}.ln2", "encoder.layer.{}.norm2"),
    *linear("blocks.{}.mlp.fc1", "encoder.layer.{}.mlp.fc1"),
    *linear("blocks.{}.mlp.fc2", "encoder.layer.{}.mlp.fc2"),
    Rule("blocks.{}.ls2.w", ("encoder.layer.{}.layer_scale2.lambda1",), VECTOR),
    *norm("ln", "layernorm"),
]


def renamed(prefix, substitutions):
    """The `rename` of a layout."""

    def rename(names):
        found = {}
        for name in names:
            published = name.removeprefix(prefix)
            for pattern, replacement in substitutions:
                published = re.sub(pattern, replacement, published)
            found[published] = name
        return found

    return rename


def facts_of(default_eps, default_preparation):
    """The `facts` of a layout."""

    def facts(shapes, configs):
        config = configs.get("config.json", {})
        acts = config.get("hidden_act", "gelu"), config.get("pooler_act", "tanh")
        if acts[0] not in ACTIVATIONS or acts[1] != "tanh":
            raise ValueError(
                f"config.json asks for the activations {acts!s:.80}; minivit has "
                f"{', '.join(ACTIVATIONS)}, and tanh in the pooler"
            )
        return Facts(
            heads=config.get("num_attention_heads"),
            pool="cls",
            eps=config.get("layer_norm_eps", default_eps),
            activation=ACTIVATIONS[acts[0]],
            image_size=config.get("image_size"),
            claims=claims_of(config, CLAIMS),
            preparation=preparation_of(
                configs.get("preprocessor_config.json"), default_preparation
            ),
            classes=class_names(config.get("id2label")),
        )

    return facts


def preparation_of(processor, default):
    """How pictures are prepared, from preprocessor_config.json."""
    if processor is None:
        return default
    size, crop = processor.get("size"), processor.get("crop_size")
    edge = size.get("shortest_edge") if isinstance(size, dict) else None
    cropped = crop.get("height") if isinstance(crop, dict) else crop
    crops = edge and cropped is not None and processor.get("do_center_crop", True)
    resample, scale = processor.get("resample", 2), processor.get("rescale_factor", 1 / 255)
    if resample not in INTERPOLATIONS or processor.get("do_normalize") is False or scale != 1 / 255:
        raise ValueError(
            f"preprocessor_config.json asks for resample {resample!r:.20}, do_normalize "
            f"{processor.get('do_normalize', True)!r:.20} and rescale_factor {scale!r:.20}; "
            "expected 2 or 3, true and 1/255"
        )
    return dict(
        mean=processor.get("image_mean", default["mean"]),
        std=processor.get("image_std", default["std"]),
        crop=cropped / edge if crops else 1.0,
        squash=edge is None,
        interpolation=INTERPOLATIONS[resample],
    )


def class_names(labels):
    """The names in id2label, {"0": "tench", …}, in the order of their numbers; or None."""
    if not isinstance(labels, dict):
        return None
    names = [labels.get(str(number)) for number in range(len(labels))]
    return None if None in names else names


def vit_config(model):
    """config.json of a ViTForImageClassification, or of a ViTModel; see save.py."""
    if model["classes"] and model["pre_logits"]:
        raise ValueError("Hugging Face's ViT has a head or a hidden layer before it, not both")
    names = {str(number): f"LABEL_{number}" for number in range(model["classes"])}
    return {
        "architectures": ["ViTForImageClassification" if model["classes"] else "ViTModel"],
        "model_type": "vit",
        "intermediate_size": model["mlp_dim"],
        "pooler_output_size": model["pre_logits"] or model["dim"],
        "id2label": names,
        "label2id": {name: int(number) for number, name in names.items()},
        **_shared_config(model),
    }


def dinov2_config(model):
    """config.json of a Dinov2Model; see save.py."""
    H, W = model["image_size"]
    if model["classes"] or H != W or model["mlp_dim"] % model["dim"]:
        raise ValueError(
            "Hugging Face's Dinov2Model has no head, a square grid, and an mlp_dim divisible by "
            f"dim; got {model['classes']} classes, images of {H} x {W} pixels, {model['mlp_dim']} "
            f"and {model['dim']}"
        )
    return {
        "architectures": ["Dinov2Model"],
        "model_type": "dinov2",
        "mlp_ratio": ratio(model["mlp_dim"], model["dim"]),
        "layerscale_value": model["layer_scale"],
        "use_swiglu_ffn": False,
        **_shared_config(model),
    }


def _shared_config(model):
    if model["pool"] != "cls" or model["norm_pooled"]:
        raise ValueError(
            f"Hugging Face's models read the class token; got pool {model['pool']!r} and "
            f"norm_pooled {model['norm_pooled']}"
        )
    H, W = model["image_size"]
    return {
        "hidden_size": model["dim"],
        "num_hidden_layers": model["depth"],
        "num_attention_heads": model["heads"],
        "hidden_act": HIDDEN_ACTS[model["activation"]],
        "layer_norm_eps": model["eps"],
        "image_size": H if H == W else [H, W],
        "patch_size": model["patch_size"],
        "num_channels": model["channels"],
        "qkv_bias": True,
    }


HALF = dict(mean=[0.5] * 3, std=[0.5] * 3, crop=1.0, squash=True, interpolation="bilinear")
IMAGENET = dict(
    mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], crop=224 / 256, squash=False,
    interpolation="bicubic",
)  # fmt: skip
VIT = Layout(
    "huggingface", renamed("vit.", [*NEW_NAMES, *NEW_VIT_NAMES]),
    "encoder.layer.0.layernorm_before.weight", VIT_RULES, sizes_of_kernel,
    ("embeddings.mask_token",), "huggingface", facts_of(1e-12, HALF), vit_config,
)  # fmt: skip
DINOV2 = Layout(
    "huggingface", renamed("dinov2.", NEW_NAMES), "encoder.layer.0.norm1.weight", DINOV2_RULES,
    sizes_of_kernel, ("embeddings.mask_token",), "huggingface", facts_of(1e-6, IMAGENET),
    dinov2_config,
)  # fmt: skip
