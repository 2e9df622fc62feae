"""A ViT, written in the layout of a library that opens it."""

from pathlib import Path

import numpy as np

from ..files import write_arrays, write_json
from ..models import ViT
from ..params import Params
from .huggingface import DINOV2, VIT
from .layout import instances
from .timm import TIMM


def save(model: ViT, params: Params, path: str | Path, layout: str) -> None:
    """Write model.safetensors and config.json into a folder, which is made if there is none.

    layout: "timm", for `timm.create_model("local-dir:FOLDER")`, or "huggingface", for
            `from_pretrained("FOLDER")` of the class that config.json names as its architecture. A
            ViTModel without hidden layer before the head wants `add_pooling_layer=False`

    Each file appears whole or not at all. `load` reads it back.
    Errors: ValueError for another layout, or for a model that the library has not; OSError.
    """
    layouts = {"timm": TIMM, "huggingface": VIT if model.config["layer_scale"] is None else DINOV2}
    if layout not in layouts:
        raise ValueError(f"save: layout must be {' or '.join(layouts)}, got {layout!r}")
    chosen, sizes = layouts[layout], model.config
    if sizes["norm"] != "pre" or sizes["positions"] != "learned":
        raise ValueError(
            f"save: {layout} has pre-norm blocks and learned positions; got norm "
            f"{sizes['norm']!r} and positions {sizes['positions']!r}"
        )
    assert chosen.config
    config = chosen.config(sizes)
    leaves = dict(params.to("cpu").astype(np.float32).named())
    arrays: dict[str, np.ndarray] = {}
    for ours, theirs, kind in instances(chosen.rules, sizes["depth"]):
        if ours in leaves:
            arrays |= zip(theirs, kind.write(leaves.pop(ours), len(theirs), sizes), strict=True)
    if leaves:
        raise ValueError(f"save: {layout} has no place for {', '.join(leaves)}")
    if chosen is DINOV2:  # its forward does not read it, but its file has it
        arrays["embeddings.mask_token"] = np.zeros((1, sizes["dim"]), np.float32)
    if sizes["classes"] and chosen is VIT:  # all but the head lies inside the model's "vit"
        arrays = {n if n.startswith("classifier") else f"vit.{n}": a for n, a in arrays.items()}
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    write_arrays(folder / "model.safetensors", arrays, {"format": "pt"})
    write_json(folder / "config.json", config)
