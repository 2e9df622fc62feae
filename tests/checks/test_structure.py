"""Faults with the right gradients of the wrong thing; those of the catalogue are in test_faults."""

import numpy as np
import pytest

import minivit

SMALL = dict(
    image_size=(4, 6), patch_size=2, channels=3, dim=12, depth=2, heads=2, mlp_dim=5, classes=3
)


def failures(model):
    return {
        finding.name: finding.observed for finding in minivit.structure(model) if not finding.ok
    }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("pool", ["mean", "cls"])
@pytest.mark.parametrize(
    "positions, norm",
    [("learned", "pre"), (None, "pre"), ("sincos1d", "pre"), ("sincos2d", "post")],
)
def test_right_models_have_every_property(pool, positions, norm, seed):
    model = minivit.ViT(
        **SMALL, pool=pool, positions=positions, norm=norm, dropout=0.1, drop_path=0.1
    )
    findings = minivit.structure(model, seed=seed)
    assert findings.ok, findings
    assert ("positions matter" in {f.name for f in findings}) == (positions is not None)


def test_a_batch_that_is_mixed_is_seen():
    model = minivit.ViT(**SMALL)
    forward = model.pool.forward
    model.pool.forward = lambda x: forward(x - 0.1 * x.mean(axis=0))
    assert failures(model).keys() >= {
        "images of a batch do not affect each other",
        "equal tokens pool to that token",
    }


def test_blocks_that_know_the_order_of_the_tokens_are_seen():
    model = minivit.ViT(**SMALL)
    forward, ramp = model.blocks[1].forward, np.arange(6.0)[:, None]
    model.blocks[1].forward = lambda params, x, rng=None: forward(params, x * ramp, rng)
    assert "without positions, order does not matter" in failures(model)


def test_initial_weights_that_are_far_too_large_are_seen():
    model = minivit.ViT(**SMALL)
    model.blocks[0].mlp.fc2.gain = 1e-9
    model.blocks[1].mlp.fc2.gain = 1e5
    assert failures(model).keys() == {"initial gradients have a sane size"}
