"""The examples of all four forms: none that is right is accused, all that are wrong are caught."""

import pytest

import minivit
from tests.samples import sample

from . import functions, scalars, stateful
from .changing import changed

SHARE = 0.8  # of the causes that must be named rightly, in each form


def forms():
    """{name of a form: module of its examples}."""
    several = {"functions": functions, "stateful": stateful, "scalars": scalars}
    try:
        from . import torch_code
    except ImportError:  # PyTorch is not installed
        return several
    return several | {"torch": torch_code}


FORMS = forms()
RIGHT = [(form, name) for form, module in FORMS.items() for name in module.RIGHT]
WRONG = [(form, *example) for form, module in FORMS.items() for example in module.WRONG]


def call(form, name):
    module = FORMS[form]
    return module.call(name) if hasattr(module, "call") else module.RIGHT[name]


def wrong(form, name, old, new):
    """What gradcheck gets for an example with a line changed: in its backward, if it has two."""
    module = FORMS[form]
    if hasattr(module, "wrong"):
        return module.wrong(name, old, new)
    first, second, *rest = module.RIGHT[name]
    if callable(second):
        return first, changed(second, old, new), *rest
    return changed(first, old, new), second, *rest


@pytest.mark.parametrize("form, name", sample(RIGHT, 4))
def test_what_is_right_is_not_accused(form, name):
    report = minivit.gradcheck(*call(form, name))
    assert report.ok, report


@pytest.mark.parametrize("form, name, old, new, says", sample(WRONG, 8))
def test_what_is_wrong_is_caught_and_its_cause_is_named(form, name, old, new, says):
    report = minivit.gradcheck(*wrong(form, name, old, new))
    assert not report.ok, report
    assert says in "\n".join(report.remarks()), report
    assert not any("kink" in problem for problem in report.problems), report


@pytest.mark.parametrize("form", FORMS)
def test_there_are_enough_examples_and_few_causes_are_unknown(form):
    """An example without words is one whose cause the report does not name."""
    right, causes = FORMS[form].RIGHT, [says for *_, says in FORMS[form].WRONG]
    assert len(right) >= 10
    assert len(causes) >= 15
    assert sum(map(bool, causes)) >= SHARE * len(causes)
    assert all(len(says) > 11 for says in causes if says)
