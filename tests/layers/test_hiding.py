import numpy as np
import pytest

from minivit.backend import to_device
from minivit.layers.hiding import hide_later, hide_padding


def hidden(hide, shape, device, *arguments, dtype=np.float64):
    """Where a function hides scores; it changes no other, and no dtype."""
    scores = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    there = to_device(scores.copy(), device)
    assert hide(there, *arguments) is None and there.dtype == dtype
    after = to_device(there, "cpu")
    where = np.isneginf(after.real)
    np.testing.assert_array_equal(after[~where], scores[~where])
    assert not after[where].imag.any()
    return where


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.complex128])
def test_keys_after_their_query_are_hidden(device, dtype):
    where = hidden(hide_later, (2, 3, 5, 5), device, dtype=dtype)
    for t in range(5):
        for s in range(5):
            assert (where[:, :, t, s] == (s > t)).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.complex128])
def test_keys_behind_the_end_of_their_sequence_are_hidden(device, dtype):
    lengths = np.array([6, 1, 4])
    where = hidden(hide_padding, (3, 2, 5, 6), device, lengths, dtype=dtype)
    for b, length in enumerate(lengths):
        assert not where[b, ..., :length].any() and where[b, ..., length:].all()
