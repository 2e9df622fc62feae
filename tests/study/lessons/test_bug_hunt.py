import inspect

import numpy as np
import pytest

import minivit
from minivit.checks.faults import faults
from minivit.study.lessons import bug_hunt
from minivit.study.lessons.bug_hunt import Hunt

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (100, 28, 28), np.uint8)
LABELS = np.arange(100) % 10


def hunt(name):
    """A hunt for the fault of that name."""
    for seed in range(10_000):
        found = Hunt(seed, IMAGES, LABELS)
        if found.fault.name == name:
            return found
    raise AssertionError(name)


def test_a_seed_decides_and_every_bug_is_drawn():
    drawn = [Hunt(seed, IMAGES, LABELS).fault.name for seed in range(1500)]
    assert drawn == [Hunt(seed, IMAGES, LABELS).fault.name for seed in range(1500)]
    assert set(drawn) == set(faults())


@pytest.mark.parametrize(
    "name, shown",
    [
        ("softmax_diagonal", "softmax\nname  shape"),
        ("scale_forgotten", "structure\nok     evaluation is deterministic"),
        ("weights_assigned", "problems besides: 1; the second hint says which"),
    ],
)
def test_symptoms_are_shown_without_the_cause(name, shown):
    symptoms = hunt(name).symptoms()
    assert shown in symptoms
    assert "diagonal" not in symptoms
    assert "+=" not in symptoms


def test_hints_tell_more_and_more():
    found = hunt("keys_not_transposed")
    place, cause, names, lines = (found.hint() for _ in range(4))
    assert place == "It is in layers.attention.Attention.backward."
    assert "which belong to k" in cause
    assert names.count("\n") == bug_hunt.CHOICES
    assert f"\nkeys_not_transposed: {found.fault.bug}" in names
    assert lines == "The correct lines are:\nxp.matmul(dscores.mT, q, out=dk)"
    assert found.hint() is None
    assert found.hints_given == 4
    uphill = hunt("uphill")
    place, cause = (uphill.hint() for _ in range(2))
    assert "WRONG" not in place and cause.startswith("the first step is lr · velocity: -1")


def test_the_source_has_the_bug_while_it_is_looked_at():
    found = hunt("keys_not_transposed")
    assert "xp.matmul(dscores, q, out=dk)" in found.source("layers.attention.Attention.backward")
    assert "rows.T @ dout" in found.source("layers.linear.Linear.backward")
    assert found.source("os.system") is None


def test_the_source_tells_the_bug_by_its_lines_alone():
    found = hunt("loss_not_divided")
    there = found.source("losses.cross_entropy.cross_entropy").splitlines()
    right = inspect.getsource(minivit.cross_entropy).splitlines()
    assert [line for line in right if line not in there] == ["    dlogits /= B"]
    assert [line for line in there if line not in right] == []


def test_the_curves_stand_side_by_side():
    lines = hunt("warmup_from_zero").curves().splitlines()
    assert len(lines) == 1 + 12
    assert lines[0].split() == ["step", "without", "the", "bug", "with", "it"]
    assert [line.split()[0] for line in lines[1:]] == [str(5 * i) for i in range(12)]
    uphill = hunt("uphill").curves().splitlines()[-1].split()  # the optimizer is the bug's
    assert float(uphill[1]) < 2.3 < float(uphill[3])
    broken = hunt("adam_without_correction").curves().splitlines()
    assert any(line.split()[1:2] != line.split()[3:4] for line in broken[1:])


def test_a_training_that_breaks_down_is_shown_as_such(monkeypatch):
    def fit(*arguments, **options):
        raise FloatingPointError

    monkeypatch.setattr(bug_hunt, "fit", fit)
    assert hunt("uphill").curves().count("broke down") == 24
