"""Fixtures of the demos that train a model."""

import pytest

from demos import training
from minivit.training import Run
from tests.data.idx import few_digits


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a few digits in the four files of MNIST, beside which the demos run."""
    monkeypatch.chdir(tmp_path)
    return few_digits(tmp_path / "digits")


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
