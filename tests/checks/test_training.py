"""Every property of a training step and of a run's batches can fail."""

import numpy as np
import pytest

from minivit.checks import training
from minivit.checks.faults import Fault, planted
from minivit.checks.suite import CHECKS
from minivit.training.batches import batches

BROKEN = [  # check, place, line, what it becomes, the first property that fails
    (
        "training_step",
        "training.step.shard_pass",
        "-shard_loss += loss * share",
        "+shard_loss += loss",
        "shards change nothing",
    ),
    (
        "training_step",
        "training.step.loss_and_gradients",
        "-return sum(losses), sum(right) / B",
        "+return sum(losses), sum(right)",
        "a step has the loss",
    ),
    (
        "training_step",
        "training.step.loss_and_gradients",
        "-bounds = parts(0, B, min(shards, B))",
        "+bounds = parts(0, B - shards // 2, min(shards, B))",
        "shards change nothing",
    ),
    (
        "training_step",
        "losses.cross_entropy.cross_entropy",
        "-loss = (losses / B).sum()",
        "+loss = losses.mean() + 0.1",
        "a new model has",
    ),
    (
        "training_step",
        "layers.positions.Positions.backward",
        '-grads["pos"] += dy.sum(axis=0)',
        "",
        "every parameter learns",
    ),
    (
        "batches",
        "training.evaluate.predict",
        "-return model.forward(params, prepared, keep=False)[0]",
        "+return model.forward(params, prepared, np.random.default_rng(), keep=False)[0]",
        "evaluation draws nothing",
    ),
]


@pytest.mark.parametrize("check, place, line, becomes, expected", BROKEN)
def test_a_property_fails_where_its_lines_are_broken(check, place, line, becomes, expected):
    with planted(Fault("broken", "", "", check, "", {place: f"{line}\n{becomes}"})):
        found = CHECKS[check]().found
    failed = [finding.name for finding in found if not finding.ok]
    assert failed[0].startswith(expected), failed


def test_a_seed_that_decides_nothing_is_seen():
    def make(split, *, epochs, batch_size, seed):
        seed = int(np.random.default_rng().integers(10**9))
        return batches(split, epochs=epochs, batch_size=batch_size, seed=seed)

    failed = [finding.name for finding in training.run(make).found if not finding.ok]
    assert failed == ["a seed gives one order"]
