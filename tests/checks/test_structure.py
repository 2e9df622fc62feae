"""Faults with the right gradients of the wrong thing; those of the catalogue are in test_faults."""

import numpy as np
import pytest

import minivit
from minivit.layers import Dropout
from minivit.models import Detector

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
    [
        ("learned", "pre"),
        (None, "pre"),
        ("sincos1d", "pre"),
        ("sincos2d", "post"),
        ("rotary", "pre"),
        ("rotary", "post"),
    ],
)
def test_right_models_have_every_property(pool, positions, norm, seed):
    rate = [0.0, 0.01, 0.1, 0.5, 0.9][seed]
    model = minivit.ViT(
        **SMALL, pool=pool, positions=positions, norm=norm, dropout=rate, drop_path=rate / 2
    )
    findings = minivit.structure(model, seed=seed)
    assert findings.ok, findings
    assert ("positions matter" in {f.name for f in findings}) == (positions is not None)


@pytest.mark.parametrize(
    "positions, norm", [("learned", "pre"), (None, "pre"), ("sincos2d", "post")]
)
def test_a_right_detector_has_them_too(positions, norm):
    model = Detector(**SMALL, positions=positions, norm=norm, dropout=0.1)
    findings = minivit.structure(model)
    assert findings.ok, findings
    assert ("positions matter" in {f.name for f in findings}) == (positions is not None)


def test_a_detector_whose_images_mix_or_whose_blocks_know_the_order_is_seen():
    model = Detector(**SMALL)
    forward, ramp = model.boxes.forward, np.arange(6.0)[:, None]
    model.boxes.forward = lambda x: forward(x - 0.1 * x.mean(axis=0))
    assert failures(model).keys() == {"images of a batch do not affect each other"}
    model = Detector(**SMALL)
    of_block = model.blocks[1].forward
    model.blocks[1].forward = lambda params, x, rng=None: of_block(params, x * ramp, rng)
    assert "without positions, order does not matter" in failures(model)


def drop_all(dropout):
    """A branch that is dropped in every step of training."""
    dropout.forward = lambda x, rng=None: (x if rng is None else 0 * x, {"mask": None})


class NotScaled(Dropout):
    def forward(self, x, rng=None):
        y, cache = super().forward(x, rng)
        return (y if rng is None else y * (1 - self.rate)), cache


def not_scaled(dropout):
    dropout.__class__ = NotScaled


def no_first_image(dropout):
    """The mean of all images stays, but the first of four never gets through."""

    def forward(x, rng=None):
        mask = np.resize([0, 4 / 3, 4 / 3, 4 / 3], (len(x), 1, 1))
        return (x if rng is None else x * mask), {"mask": None}

    dropout.forward = forward


def dropped_for_good(dropout):
    dropout.path_rate = 1.0  # as no constructor would allow: 0 / 0


@pytest.mark.parametrize(
    "break_it, says",
    [
        (drop_all, "turns 1 into 0.00 on average"),
        (not_scaled, "turns 1 into 0."),
        (no_first_image, "leaves out the same numbers in every pass"),
        (dropped_for_good, "turns 1 into nan"),
    ],
)
@pytest.mark.parametrize("rate", [0.0, 0.1])
@pytest.mark.parametrize("place", ["dropout", "blocks.0.drop1", "blocks.1.drop2"])
def test_every_dropout_must_leave_out_what_its_rates_say(place, rate, break_it, says):
    model = minivit.ViT(**SMALL, dropout=rate, drop_path=rate)
    dropouts = {"dropout": model.dropout}
    for number, block in enumerate(model.blocks):
        dropouts |= {f"blocks.{number}.drop{i}": getattr(block, f"drop{i}") for i in (1, 2)}
    assert all(type(dropout) is Dropout for dropout in dropouts.values())
    break_it(dropouts[place])
    observed = failures(model)
    said = observed.pop("dropouts leave out what their rates say")
    assert said.startswith(f"{place} {says}")
    assert observed.keys() <= {"stochastic depth grows evenly"}


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
