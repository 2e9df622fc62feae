"""Make torchvision-*.safetensors: `python -m tests.pretrained.golden.make_torchvision`.

It runs in the root folder, and needs `pip install torchvision==0.29.1 torch==2.14.1 safetensors`.
The library has no config.json, and square images only.
"""

import json

import numpy as np
import torchvision
from torchvision.models.vision_transformer import VisionTransformer

from .case import EXPECT, draw_torch, torch_passes, write_case

SQUARE = EXPECT | dict(image_size=[8, 8])
CASES = {"plain": None, "pre-logits": 6}  # name: representation_size
OLD_NAMES = {"mlp.0": "mlp.linear_1", "mlp.3": "mlp.linear_2"}  # in older files


if __name__ == "__main__":
    for seed, (name, representation_size) in enumerate(CASES.items()):
        rng = np.random.default_rng([2, seed])
        model = VisionTransformer(
            image_size=SQUARE["image_size"][0],
            patch_size=SQUARE["patch_size"],
            num_layers=SQUARE["depth"],
            num_heads=SQUARE["heads"],
            hidden_dim=SQUARE["dim"],
            mlp_dim=SQUARE["mlp_dim"],
            num_classes=SQUARE["classes"],
            representation_size=representation_size,
        )
        write_case(
            f"torchvision-{name}",
            draw_torch(model, rng),
            torch_passes(model),
            SQUARE | dict(pre_logits=representation_size),
            rng,
            config="",
            library=f"torchvision {torchvision.__version__.split('+')[0]}",
            old_names=json.dumps(OLD_NAMES),
        )
