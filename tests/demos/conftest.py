"""Fixtures of the demos that train a model."""

import pytest

from demos import training
from minivit.training import Run


@pytest.fixture
def untested(monkeypatch):
    """No final test, whose drawings take longer than all the rest."""
    monkeypatch.setattr(training, "test", lambda *_: None)


@pytest.fixture
def fits(monkeypatch, untested):
    """The arguments of each Run.fit, which does nothing: (progress, train, validation, options)."""
    calls = []
    monkeypatch.setattr(Run, "fit", lambda _, *splits, **options: calls.append((*splits, options)))
    return calls
