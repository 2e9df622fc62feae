import numpy as np

import minivit
from minivit.models.micro_batch import GPU_BATCH, MICRO_BATCH, images_at_once
from tests.stand_in import installed


def at_once(patch_size, dim, image_size=28, device="cpu"):
    model = minivit.ViT(
        image_size=image_size, patch_size=patch_size, channels=1, dim=dim, depth=1, heads=2,
        mlp_dim=4, classes=2,
    )  # fmt: skip
    return images_at_once(model, minivit.Params({"w": np.ones(1)}).to(device))


def test_so_many_that_their_tokens_are_a_micro_batch():
    for patch_size, dim, tokens in [(7, 64, 16), (4, 64, 49), (4, 128, 49), (2, 32, 196)]:
        numbers = at_once(patch_size, dim) * tokens * dim
        assert MICRO_BATCH - tokens * dim < numbers <= MICRO_BATCH


def test_one_at_least():
    assert at_once(1, 256, image_size=32) == 1


def test_a_gpu_takes_more_but_no_larger_attention():
    with installed():
        assert at_once(7, 64, device="cuda") == GPU_BATCH // (16 * 64)
        assert at_once(2, 32, device="cuda") == GPU_BATCH // (2 * 196**2)  # (h, T, T)
