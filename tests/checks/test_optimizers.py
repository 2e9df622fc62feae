"""Every property of optimizers, schedules, clipping and averages can fail."""

import numpy as np
import pytest

import minivit
from minivit.checks import optimizers
from minivit.checks.faults import Fault, planted
from minivit.checks.suite import CHECKS

BROKEN = [  # check, place, line, what it becomes, the first property that fails
    (
        "sgd",
        "optim.SGD.update",
        "-self.velocity += g",
        "+self.velocity += 2 * g",
        "the first step is",
    ),
    (
        "sgd",
        "optim.SGD.update",
        "-self.velocity *= self.momentum",
        "+self.velocity *= 0.8",
        "the second step is",
    ),
    (
        "sgd",
        "optim.SGD.update",
        "-p -= self.lr * self.velocity",
        "+p -= self.lr * self.velocity * (g != 0)",
        "the third, without",
    ),
    (
        "adam",
        "optim.Adam.update",
        "-self.m += (1 - beta1) * g",
        "+self.m += g",
        "the first step has size lr",
    ),
    (
        "adam",
        "optim.Adam.update",
        "-v_hat = self.v / (1 - beta2**self.t)",
        "+v_hat = self.v / (1 - beta2)",
        "under a constant",
    ),
    (
        "adam",
        "optim.Adam.update",
        "-p -= self.lr * m_hat / (xp.sqrt(v_hat) + self.eps)",
        "+p -= self.lr * m_hat / (v_hat + self.eps)",
        "the first step has",
    ),
    (
        "adam",
        "optim.Adam.update",
        "-beta1, beta2 = self.betas",
        "+beta2, beta1 = self.betas",
        "both averages",
    ),
    (
        "adam",
        "optim.Adam.update",
        "-p -= self.lr * m_hat / (xp.sqrt(v_hat) + self.eps)",
        "+p -= self.lr * m_hat / xp.sqrt(v_hat + self.eps**2)",
        "eps stands",
    ),
    (
        "adamw",
        "optim.AdamW.update",
        "-p -= (self.lr * self.decay) * (self.decays * p)",
        "+p -= self.decay * (self.decays * p)",
        "a matrix decays",
    ),
    (
        "muon",
        "optim.Muon.update",
        "-w -= size * step",
        "+w += size * step",
        "a step goes downhill",
    ),
    (
        "muon",
        "optim.Muon.update",
        "-size = self.lr * math.sqrt(max(1, d_out / d_in))",
        "+size = 2 * self.lr",
        "a step of qkv has",
    ),
    (
        "clipping",
        "optim.clip_by_global_norm",
        "-return norm * unit",
        "+return norm / 2",
        "the norm before",
    ),
    (
        "clipping",
        "optim.clip_by_global_norm",
        "-grads.flat *= xp.minimum(1.0, max_norm / unit / (norm + 1e-6 / unit))",
        "+grads.flat *= 0.5",
        "a large gradient is cut",
    ),
    (
        "clipping",
        "optim.clip_by_global_norm",
        "-grads.flat *= xp.minimum(1.0, max_norm / unit / (norm + 1e-6 / unit))",
        "+grads.flat *= max_norm / norm",
        "a small gradient is left",
    ),
    (
        "clipping",
        "optim.clip_by_global_norm",
        "-grads.flat *= xp.minimum(1.0, max_norm / unit / (norm + 1e-6 / unit))",
        "+grads.flat[...] = xp.clip(grads.flat, -0.2, 0.2)",
        "a large gradient is cut",
    ),
    (
        "schedules",
        "optim.warmup_cosine",
        "-return peak * (step + 1) / (warmup + 1)",
        "+return peak",
        "it rises during",
    ),
    (
        "schedules",
        "optim.warmup_linear",
        "-return peak * (steps - step) / (steps - warmup)",
        "+return peak",
        "it falls after",
    ),
    (
        "schedules",
        "optim.warmup_linear",
        "-return peak * (steps - step) / (steps - warmup)",
        "+return 0.9 * peak * (steps - step) / (steps - warmup)",
        "it rises during",
    ),
    (
        "schedules",
        "optim.warmup_cosine",
        "-return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))",
        "+return peak * (2 - (step - warmup) / steps) / 2",
        "the last rate",
    ),
    (
        "average",
        "optim.EMA.update",
        "-decay = min(self.decay, (1 + self.t) / (10 + self.t))",
        "+decay = self.decay",
        "the first update",
    ),
    (
        "average",
        "optim.EMA.update",
        "-self.average += (1 - decay) * (self.source.flat - self.average)",
        "+self.average += 0.9 * (self.source.flat - 0.1 - self.average)",
        "it follows",
    ),
    (
        "average",
        "optim.EMA.update",
        "-self.t += 1",
        "+self.t += 1\n+self.source.flat += 1e-3",
        "it follows",
    ),
]


@pytest.mark.parametrize("check, place, line, becomes, expected", BROKEN)
def test_a_property_fails_where_its_formula_is_broken(check, place, line, becomes, expected):
    with planted(Fault("broken", "", "", check, "", {place: f"{line}\n{becomes}"})):
        found = CHECKS[check]().found
    failed = [finding.name for finding in found if not finding.ok]
    assert failed[0].startswith(expected), failed


def test_an_adam_that_looks_at_the_size_of_gradients_fails():
    class Plain(minivit.Adam):
        def update(self, p, g):
            super().update(p, g)
            p -= 1e-3 * self.lr * np.sign(g) * (abs(g) > 100)

    failed = [finding.name for finding in optimizers.adam(Plain).found if not finding.ok]
    assert failed == ["the size of the gradient does not matter"]
