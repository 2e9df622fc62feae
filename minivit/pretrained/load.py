"""Published weights, read into a ViT whose backward is written by hand."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..data.framing import Framing
from ..data.normalize import Normalize
from ..models import ViT
from ..params import Params
from .arguments import arguments_of, expect_usable_size
from .google import GOOGLE
from .huggingface import DINOV2, VIT
from .positions import resize_positions
from .read import NOT_WEIGHTS, read_checkpoint
from .timm import TIMM
from .torchvision import TORCHVISION

LAYOUTS = (TIMM, VIT, DINOV2, TORCHVISION, GOOGLE)
REFUSED = {  # what some networks have and a ViT here has not, by the names of its arrays
    r"dist_token|distillation_token|head_dist": "a distillation token",
    r"reg_token|register_tokens": "register tokens",
    r"norm_pre\.": "a layer norm before the blocks",
    r"\.[qk]_norm\.": "normalised queries and keys",
    r"attn_pool\.": "pooling by attention",
    r"rel_pos|relative_position": "relative positions",
    r"weights_in\.|\.w12\.|fc1_g\.": "gated MLPs (SwiGLU)",
    r"conv_root|patch_embed\.backbone": "convolutions before its patches",
}
SHOWN = 4  # names of arrays in a message


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
        expect_usable_size(wanted, arrays)
        model = ViT(**wanted)
        config = _config(layout, facts, own, model.config["classes"])
        params = Params(_hollow(model.init(_Blank())))  # type: ignore[arg-type]
        plan = _plan(layout, params, own, places, shapes)
        _fill(model, params, plan, arrays, own, layout.positions)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError) as error:
        raise ValueError(f"{path} cannot be read into a ViT: {_line(error)}") from error
    return model, params, config


class _Blank:
    """In the place of a generator: zeros, which cost no time, as every number is overwritten."""

    def standard_normal(self, shape):
        return np.zeros(shape, np.float32)


def _hollow(nest):
    """The same nest of zeros, in no memory: `Params` makes its one flat vector of them."""
    if isinstance(nest, dict):
        return {key: _hollow(value) for key, value in nest.items()}
    if isinstance(nest, list):
        return [_hollow(value) for value in nest]
    return np.broadcast_to(np.float32(0), nest.shape)


def _line(error):
    text = f"it has no {error}" if isinstance(error, KeyError) else str(error)
    return " ".join(text.split())[:400]


def _recognised(stored):
    """The layout of the arrays' names, and {name in its rules: name in the file}."""
    for layout in LAYOUTS:
        names = layout.rename(list(stored))
        if layout.mark in names and len(names) == len(stored):
            return layout, names
    if "patches.w" in stored:
        raise ValueError("it is a run of minivit's own, which minivit.Classifier.load reads")
    known = ", ".join(dict.fromkeys(layout.name for layout in LAYOUTS))
    raise ValueError(f"its names are of no layout that is known ({known}): {_listed(stored)}")


def _listed(names):
    """The first few names, and how many more there are."""
    some, more = sorted(names)[:SHOWN], len(names) - SHOWN
    return ", ".join(name[:80] for name in some) + (f" and {more} more" if more > 0 else "")


def _refuse_unknown_parts(names):
    for pattern, part in REFUSED.items():
        if found := [name for name in names if re.search(pattern, name)]:
            raise ValueError(f"it has {part} ({found[0][:80]}), which a ViT here has not")


def _plan(layout, params, own, places, shapes):
    """[(ours, theirs, Kind)], each array in the file once; ValueError listing what does not fit."""
    ours_shapes = {name: leaf.shape for name, leaf in params.named()}
    ours_shapes["pos"] = (places, own["dim"])
    if own["classes"]:  # the model may have another head, or none
        width = own["pre_logits"] or own["dim"]
        ours_shapes |= {"head.w": (width, own["classes"]), "head.b": (own["classes"],)}
    plan, missing, wrong = [], [], []
    for rule in layout.rules:
        for number in range(own["depth"] if "{}" in rule.ours else 1):
            ours, theirs = rule.ours.format(number), [name.format(number) for name in rule.theirs]
            if ours not in ours_shapes:
                continue
            absent = [name for name in theirs if name not in shapes]
            if absent == theirs and ours.endswith("attn.qkv.b"):
                continue  # it stays zero
            missing += absent
            blank = np.broadcast_to(np.float32(0), ours_shapes[ours])
            expected = [each.shape for each in rule.kind.write(blank, len(theirs), own)]
            wrong += [
                f"{name} is {shapes[name]}, not {shape}"
                for name, shape in zip(theirs, expected, strict=True)
                if name not in absent and shapes[name] != shape
            ]
            plan.append((ours, theirs, rule.kind))
    used = {name for _, theirs, _ in plan for name in theirs}
    left = [name for name in shapes if name not in used and name not in layout.unused]
    faults = {"missing": missing, "of another shape": wrong, "left over": left}
    if found := [f"{what}: {_listed(names)}" for what, names in faults.items() if names]:
        raise ValueError("; ".join(found))
    return plan


def _fill(model, params, plan, arrays, own, kind):
    """Copy the arrays into the parameters; positions go to the model's own grid."""
    leaves, P = dict(params.named()), own["patch_size"]
    old = [side // P for side in own["image_size"]]
    new = [side // P for side in model.config["image_size"]]
    for ours, theirs, shape in plan:
        value = shape.read(*(_numbers(arrays, name) for name in theirs))
        if ours == "pos":
            if len(value) == old[0] * old[1] and "cls" in leaves:  # it has no position there
                value = np.concatenate([np.zeros_like(value[:1]), value])
            value = resize_positions(value, old, new, kind)
        if ours in leaves and leaves[ours].shape == value.shape:  # a head may be dropped
            leaves[ours][...] = value


def _numbers(arrays, name):
    """The numbers of an array, float32, or what is wrong with them."""
    try:
        numbers = arrays[name].read()
    except NOT_WEIGHTS as error:
        raise ValueError(f"{name}: {error}") from error
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} is not finite")
    return numbers


def _config(layout, facts, own, classes):
    """What a run's config.json says beside the model's arguments."""
    preparation = dict(facts.preparation)
    if own["channels"] != len(preparation["mean"]) == 3:  # a library's default for colours
        preparation |= dict(mean=[0.5] * own["channels"], std=[0.5] * own["channels"])
    normalize = Normalize(preparation["mean"], preparation["std"])
    framing = Framing(**{k: v for k, v in preparation.items() if k not in ("mean", "std")})
    names = facts.classes
    if not isinstance(names, list) or len(set(map(str, names))) != classes or classes != len(names):
        names = [str(number) for number in range(classes)]
    return {
        "layout": layout.name,
        "preparation": dataclasses.asdict(normalize) | dataclasses.asdict(framing),
        "classes": [str(name) for name in names],
    }
