"""Make google-*.safetensors: `python -m tests.pretrained.golden.make_google`.

It runs in the root folder, and needs `pip install flax==0.12.8 jax==0.10.2 safetensors`; and the
code of the paper on PYTHONPATH, from `git clone
https://github.com/google-research/vision_transformer`, at commit c6de1e5. It has no config.json.
"""

import functools
import math

import flax
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from vit_jax import models_vit

from .case import EXPECT, draw, write_case

SQUARE = EXPECT | dict(image_size=[8, 8], activation="gelu_tanh")  # jax.nn.gelu's default
CASES = {  # name: Google's arguments, what differs in minivit's
    "token": (dict(classifier="token"), {}),
    "gap": (dict(classifier="gap"), dict(pool="mean")),
    "pre-logits": (dict(classifier="token", representation_size=6), dict(pre_logits=6)),
}
# The published files number all parts of a block together; Flax now counts each kind by itself.
PUBLISHED = {
    "LayerNorm_0": "LayerNorm_0",
    "MultiHeadDotProductAttention_0": "MultiHeadDotProductAttention_1",
    "LayerNorm_1": "LayerNorm_2",
    "MlpBlock_0": "MlpBlock_3",
}


def published_name(name):
    return "/".join(PUBLISHED.get(part, part) for part in name.split("/"))


def fan_in(name, shape):
    """How many numbers go into each output of a kernel; None for what is none."""
    if not name.endswith("/kernel"):
        return None
    if name.split("/")[-2] in ("query", "key", "value"):  # (D, h, d)
        return shape[0]
    return math.prod(shape[:-1])  # (..., outputs)


def flax_passes(model, names):
    """The forward and backward of a Flax module; `names` has Flax's name of each published one."""

    def passes(weights, images, dlogits):
        def forward(weights, images):
            flat = {tuple(names[name].split("/")): array for name, array in weights.items()}
            return model.apply({"params": unflatten_dict(flat)}, images, train=False)

        logits, backward = jax.vjp(forward, weights, images)
        assert logits.dtype == np.float64
        gradients, dimages = backward(jnp.asarray(dlogits))
        return logits, gradients | {"images": dimages}

    return passes


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    block = models_vit.Encoder1DBlock  # which casts to float32, if it is not told
    models_vit.Encoder1DBlock = functools.partial(block, dtype=jnp.float64)
    for seed, (name, (arguments, differences)) in enumerate(CASES.items()):
        rng = np.random.default_rng([3, seed])
        model = models_vit.VisionTransformer(
            num_classes=SQUARE["classes"],
            patches=type("Patches", (), {"size": (SQUARE["patch_size"],) * 2}),
            transformer=dict(
                num_layers=SQUARE["depth"], mlp_dim=SQUARE["mlp_dim"], num_heads=SQUARE["heads"]
            ),
            hidden_size=SQUARE["dim"],
            **arguments,
        )
        images = np.zeros((1, *SQUARE["image_size"], SQUARE["channels"]))
        start = flatten_dict(model.init(jax.random.key(0), images, train=False)["params"], sep="/")
        names = {published_name(leaf): leaf for leaf in start}
        weights = {
            leaf: draw(rng, leaf, start[old].shape, fan_in(leaf, start[old].shape))
            for leaf, old in names.items()
        }
        write_case(
            f"google-{name}",
            weights,
            flax_passes(model, names),
            SQUARE | differences,
            rng,
            config="",
            library=f"google-research/vision_transformer c6de1e5, flax {flax.__version__}",
        )
