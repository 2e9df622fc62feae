import numpy as np
import pytest

import minivit
from minivit.study.rollout import attention_rollout, patches_read


def naive_product(a, b):
    T = len(a)
    return [[sum(a[t][s] * b[s][u] for s in range(T)) for u in range(T)] for t in range(T)]


def test_rollout_equals_naive_loops():
    rng, B, h, T = np.random.default_rng(0), 3, 2, 5
    attentions = rng.dirichlet(np.ones(T), (4, B, h, T))  # of four blocks
    rollouts = attention_rollout(list(attentions))
    for image in range(B):
        expected = np.eye(T).tolist()
        for att in attentions[:, image]:
            mixing = [
                [(sum(att[head][t][s] for head in range(h)) / h + (t == s)) / 2 for s in range(T)]
                for t in range(T)
            ]
            expected = naive_product(mixing, expected)
        np.testing.assert_allclose(rollouts[image], expected, rtol=1e-12)
    np.testing.assert_allclose(rollouts.sum(axis=-1), 1, rtol=1e-12)


@pytest.mark.parametrize("pool", ["mean", "cls", "patch_mean"])
def test_what_the_head_reads_of_a_rollout(pool):
    model = minivit.ViT(
        image_size=(4, 10), patch_size=2, channels=1, dim=6, depth=1, heads=2, mlp_dim=5, classes=3,
        pool=pool,
    )  # fmt: skip
    T = model.tokens
    rollout = np.random.default_rng(0).random((3, T, T))
    maps = patches_read(model, rollout)
    assert maps.shape == (3, 2, 5)
    for image, row, column in np.ndindex(maps.shape):
        token = row * 5 + column
        if pool == "cls":
            expected = rollout[image, 0, 1 + token]
        elif pool == "patch_mean":
            expected = sum(rollout[image, t, 1 + token] for t in range(1, T)) / (T - 1)
        else:
            expected = sum(rollout[image, t, token] for t in range(T)) / T
        assert maps[image, row, column] == pytest.approx(expected)
