"""Make timm-*.safetensors and timm-refused.json: `python -m tests.pretrained.golden.make_timm`.

It runs in the root folder, and needs `pip install timm==1.0.31 torch==2.14.1 safetensors`.
Each model is the library's own VisionTransformer; its config.json is the one that timm writes for
a folder of the Hub.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import timm
from timm.models._hub import save_config_for_hf

from .case import EXPECT, FOLDER, draw_torch, torch_passes, write_case

SIZES = dict(
    img_size=tuple(EXPECT["image_size"]),
    patch_size=EXPECT["patch_size"],
    embed_dim=EXPECT["dim"],
    depth=EXPECT["depth"],
    num_heads=EXPECT["heads"],
    mlp_ratio=EXPECT["mlp_dim"] / EXPECT["dim"],
    num_classes=EXPECT["classes"],
)
AVERAGE = dict(global_pool="avg")
NO_CLASS_TOKEN = AVERAGE | dict(class_token=False)
CASES = {  # name: timm's arguments, what differs in minivit's
    "token": ({}, {}),
    "avg": (AVERAGE, dict(pool="patch_mean", norm_pooled=True)),
    "avg-no-fc-norm": (AVERAGE | dict(fc_norm=False), dict(pool="patch_mean")),
    "no-class-token": (NO_CLASS_TOKEN | dict(fc_norm=False), dict(pool="mean")),
    "no-class-token-fc-norm": (
        NO_CLASS_TOKEN | dict(fc_norm=True), dict(pool="mean", norm_pooled=True)
    ),
    "no-embed-class": (dict(no_embed_class=True), {}),
    "layer-scale": (dict(init_values=1e-5), dict(layer_scale=True)),
    "no-qkv-bias": (dict(qkv_bias=False), {}),
    "no-head": (dict(num_classes=0), dict(classes=0)),
    "gelu-tanh": (dict(act_layer="gelu_tanh"), dict(activation="gelu_tanh")),
}  # fmt: skip
REFUSED = {  # name: architecture, timm's arguments
    "distilled": ("deit_base_distilled_patch16_224", {}),
    "reg_tokens": ("vit_base_patch16_224", dict(reg_tokens=4)),
    "pre_norm": ("vit_base_patch16_224", dict(pre_norm=True)),
    "qk_norm": ("vit_base_patch16_224", dict(qk_norm=True)),
    "map": ("vit_base_patch16_224", dict(global_pool="map")),
}


def config_of(model):
    """The config.json of a model, as timm writes it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        save_config_for_hf(model, str(path))
        return json.loads(path.read_text())


def write_refused():
    """Names and shapes of models that minivit has no parts for, with their config.json."""
    cases = {}
    for name, (architecture, arguments) in REFUSED.items():
        model = timm.create_model(architecture, **SIZES | arguments)
        shapes = {leaf: list(tensor.shape) for leaf, tensor in model.state_dict().items()}
        cases[name] = dict(config=config_of(model), shapes=shapes)
    (FOLDER / "timm-refused.json").write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    for seed, (name, (arguments, differences)) in enumerate(CASES.items()):
        rng = np.random.default_rng([1, seed])
        model = timm.create_model("vit_base_patch16_224", **SIZES | arguments)
        write_case(
            f"timm-{name}",
            draw_torch(model, rng),
            torch_passes(model),
            EXPECT | differences,
            rng,
            config=json.dumps(config_of(model)),
            library=f"timm {timm.__version__}",
        )
    write_refused()
