import numpy as np

import minivit
from minivit.micro_batch import MICRO_BATCH, images_at_once


def at_once(patch_size, dim, image_size=28):
    model = minivit.ViT(
        image_size=image_size, patch_size=patch_size, channels=1, dim=dim, depth=1, heads=2,
        mlp_dim=4, classes=2,
    )  # fmt: skip
    return images_at_once(model, minivit.Params({"w": np.ones(1)}))


def test_so_many_that_their_tokens_are_a_micro_batch():
    for patch_size, dim, tokens in [(7, 64, 16), (4, 64, 49), (4, 128, 49), (2, 32, 196)]:
        numbers = at_once(patch_size, dim) * tokens * dim
        assert MICRO_BATCH["cpu"] - tokens * dim < numbers <= MICRO_BATCH["cpu"]


def test_one_at_least():
    assert at_once(1, 256, image_size=32) == 1
