"""The state of an optimizer is all that it needs: loaded by another, the next steps are the same.

A wrong or missing name in `lasting` of any optimizer turns the first test red.
"""

import numpy as np
import pytest

import minivit
from minivit.optim import Stateful

MAKE = {
    "sgd": lambda params: minivit.SGD(params, 0.1),
    "adam": lambda params: minivit.Adam(params, 0.01),
    "adamw": lambda params: minivit.AdamW(params, 0.01, decay=0.3),
    "muon": lambda params: minivit.Muon(params, 0.02),
    "ema": minivit.EMA,
}
NAMES = {
    "sgd": {"velocity"},
    "adam": {"t", "m", "v"},
    "adamw": {"t", "m", "v"},
    "muon": {"velocity", "rest.t", "rest.m", "rest.v"},
    "ema": {"t", "average"},
}


def case(name, width=6):
    rng = np.random.default_rng(0)
    nest = {"blocks": [{"fc": {"w": rng.standard_normal((width, 5))}}], "b": np.ones(5)}
    params = minivit.Params(nest).astype(np.float32)
    return params, MAKE[name](params)


def take(steps, params, stateful):
    for step in steps:
        gradient = np.random.default_rng(step).standard_normal(params.flat.shape)
        if isinstance(stateful, minivit.EMA):
            params.flat += gradient.astype(np.float32)
            stateful.update()
        else:
            grads = params.zeros_like()
            grads.flat[...] = gradient
            stateful.step(grads)


@pytest.mark.parametrize("name", MAKE)
def test_continues_to_the_last_bit_from_the_state_of_another(name):
    params, first = case(name)
    take(range(4), params, first)
    assert first.state().keys() == NAMES[name]
    other, second = case(name)
    other.flat[...] = params.flat
    second.load_state(first.state())
    for _ in range(2):  # no array is shared: neither disturbs the other
        take(range(4, 8), params, first)
        take(range(4, 8), other, second)
    np.testing.assert_array_equal(other.flat, params.flat)
    for key, value in first.state().items():
        np.testing.assert_array_equal(second.state()[key], value)


@pytest.mark.parametrize(
    "state, message",
    [
        (
            case("sgd")[1].state(),
            "Adam: the saved state has 'm' as nothing; expected float",
        ),
        (case("adam", 7)[1].state(), r"has 'm' as float32 \(40,\); expected float32 \(35,\)"),
        (case("adam")[1].state() | {"t": 1.5}, "has 't' as float; expected int"),
        (case("adam")[1].state() | {"u": 1}, "has 'u' as int; expected nothing"),
    ],
)
def test_refuses_the_state_of_another_kind_or_size_and_stays_as_it_was(state, message):
    _, adam = case("adam")
    with pytest.raises(ValueError, match=message):
        adam.load_state(state)
    assert adam.t == 0
    assert not adam.m.any()


def test_a_state_holds_numbers_and_lists_and_other_states():
    class Diary(Stateful):
        lasting = ("pages", "older")

        def __init__(self, older=None):
            self.pages, self.older = [], older

    diary = Diary(Diary())
    diary.load_state({"pages": [1], "older.pages": [2, 3], "older.older": None})
    assert (diary.pages, diary.older.pages) == ([1], [2, 3])
