"""That every check is right is in test_faults.py; here, that the suite is whole."""

import numpy as np

from minivit import layers
from minivit.checks.cases import CASES, check
from minivit.checks.suite import CHECKS


def test_every_layer_is_checked():
    checked = {type(case.make()).__name__ for case in CASES.values()}
    assert set(layers.__all__) <= checked


def test_a_case_has_a_new_layer_every_time():
    assert CASES["linear"].make() is not CASES["linear"].make()
    assert CHECKS.keys() > CASES.keys()


def test_sizes_of_a_case_differ_from_each_other():
    for name, case in CASES.items():
        assert len(set(case.shape)) == len(case.shape) or name == "vit", name


def test_the_seed_decides_on_the_input():
    values = [check("gelu", seed=seed).rows[0].numeric for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]
    assert np.isfinite(values).all()
