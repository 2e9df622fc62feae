"""Long tables of cases, of which a sample runs each time."""

import pytest


def sample(cases, every):
    """The cases for pytest's parametrize: every n-th runs always, the others with -m thorough."""

    def marked(number, case):
        values = case if isinstance(case, tuple) else (case,)
        marks = [pytest.mark.slow, pytest.mark.thorough] if number % every else []
        return pytest.param(*values, marks=marks)

    return [marked(number, case) for number, case in enumerate(cases)]
