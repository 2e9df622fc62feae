"""Published weights, read into a ViT whose backward is written by hand."""

import re
from pathlib import Path
from typing import Any

from ..data import preparation
from ..files import one_line
from ..models import ViT
from ..params import Params
from .arguments import arguments_of, expect_usable_size
from .fill import empty_params, fill, listed, plan_of
from .google import GOOGLE
from .huggingface import DINOV2, VIT
from .read import read_checkpoint
from .timm import TIMM
from .torchvision import TORCHVISION

LAYOUTS = (TIMM, VIT, DINOV2, TORCHVISION, GOOGLE)
REFUSED = {  # parts that a ViT here lacks, by the names of their arrays
    r"dist_token|distillation_token|head_dist": "a distillation token",
    r"reg_token|register_tokens": "register tokens",
    r"norm_pre\.": "a layer norm before the blocks",
    r"\.[qk]_norm\.": "normalised queries and keys",
    r"attn_pool\.": "pooling by attention",
    r"rel_pos|relative_position": "relative positions",
    r"weights_in\.|\.w12\.|fc1_g\.": "gated MLPs (SwiGLU)",
    r"conv_root|patch_embed\.backbone": "convolutions before its patches",
}
WRONG = (  # what comes of files that lie, whatever they lie about
    ValueError, TypeError, KeyError, AttributeError, ArithmeticError, OSError, MemoryError,
)  # fmt: skip


def load(
    path: str | Path,
    *,
    image_size: int | tuple[int, int] | None = None,
    classes: int | None = None,
    heads: int | None = None,
    eps: float | None = None,
    pool: str | None = None,
) -> tuple[ViT, Params, dict[str, Any]]:
    """Return a published network: a ViT, its Params in float32, and what else is known of it.

    path:       a file or a folder: .safetensors, .npz, or PyTorch's .pth and .bin, in the layout of
                timm, Hugging Face, torchvision or Google, which the names of the arrays tell
    image_size: one number or (height, width), to which the positions are resized; or the network's
    classes:    0 for the pooled features; another number than the network's for a new head of
                zeros
    heads, eps: of the attention; of the layer norms; needed where the files do not say
    pool:       "cls" or "mean" (of the patches), where the files do not say
    The third is {"layout": …, "preparation": {mean, std, crop, squash, interpolation}, "classes":
    [names]}, the preparation being that of `Normalize` and `Framing`.

    Each array is used once. A bias of qkv that is missing is zero. float64, float16 and bfloat16
    become float32. Nothing in a file is run, and memory is bounded by its size.
    Errors: FileNotFoundError; ValueError naming the file and what does not fit.
    """
    stored, configs = read_checkpoint(path)
    try:
        layout, names = _recognised(stored)
        _refuse_unknown_parts(names)
        arrays = {name: stored[in_file] for name, in_file in names.items()}
        shapes = {name: array.shape for name, array in arrays.items()}
        facts = layout.facts(shapes, configs)
        own, places = arguments_of(layout, shapes, facts, dict(heads=heads, eps=eps, pool=pool))
        changes = {"image_size": image_size, "classes": classes}
        wanted = own | {name: value for name, value in changes.items() if value is not None}
        expect_usable_size(own, wanted["image_size"], arrays)
        model = ViT(**wanted)
        config = _config(layout, facts, own, model.config["classes"])
        params = empty_params(model)
        plan = plan_of(layout, params, own, places, shapes)
        fill(model, params, plan, arrays, own, layout.positions)
    except WRONG as error:
        raise ValueError(f"{path} cannot be read into a ViT: {one_line(error)}") from error
    return model, params, config


def _recognised(stored):
    """The layout of the arrays' names, and {name in its rules: name in the file}."""
    for layout in LAYOUTS:
        names = layout.rename(list(stored))
        if layout.mark in names and len(names) == len(stored):
            return layout, names
    if "patches.w" in stored:
        raise ValueError("it is a run of minivit's own, which minivit.Classifier.load reads")
    known = ", ".join(dict.fromkeys(layout.name for layout in LAYOUTS))
    raise ValueError(f"its names are of no layout that is known ({known}): {listed(stored)}")


def _refuse_unknown_parts(names):
    for pattern, part in REFUSED.items():
        if found := [name for name in names if re.search(pattern, name)]:
            raise ValueError(f"it has {part} ({listed(found[:1])}), which a ViT here lacks")


def _config(layout, facts, own, classes):
    """What a run's config.json says beside the model's arguments."""
    prepared, channels = dict(facts.preparation), own["channels"]
    if channels != len(prepared["mean"]) == 3:  # a library's default for colours
        prepared |= dict(mean=[0.5] * channels, std=[0.5] * channels)
    normalize, framing = preparation.of_dict(prepared)
    if len(normalize.mean) != channels:
        raise ValueError(f"the mean has {len(normalize.mean)} numbers for {channels} channels")
    names = facts.classes if isinstance(facts.classes, list) else []
    if not all(isinstance(name, str) and name.isprintable() for name in names):
        names = []
    if len(set(names)) != classes or classes != len(names):
        names = [str(number) for number in range(classes)]
    return {
        "layout": layout.name,
        "preparation": preparation.as_dict(normalize, framing),
        "classes": names,
    }
