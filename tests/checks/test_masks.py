"""Masks of a dropout: what is right passes at any rates, and each way to be wrong is said."""

import numpy as np
import pytest

from minivit.checks.masks import mask_fault
from minivit.layers import Dropout


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.5, 0.95])
@pytest.mark.parametrize("path_rate", [0.0, 0.01, 0.5, 0.95])
def test_right_masks_are_never_called_wrong(rate, path_rate):
    for seed in range(5):
        assert mask_fault(Dropout(rate, path_rate), np.random.default_rng(seed)) is None


class Wrong(Dropout):
    """A dropout whose masks, of shape (B, 2, 3), `spoil` changes."""

    def __init__(self, rate, path_rate, spoil):
        super().__init__(rate, path_rate)
        self.spoil = spoil

    def forward(self, x, rng=None):
        y, cache = super().forward(x, rng)
        return self.spoil(y), cache


@pytest.mark.parametrize(
    "rate, path_rate, spoil, says",
    [
        (0.3, 0.2, lambda y: 1.2 * y, "turns 1 into 1."),
        (0.4, 0.0, lambda y: np.repeat(y[::2], 2, axis=0), "in several images"),
        (0.4, 0.0, lambda y: np.repeat(y[:, :1], 2, axis=1), "each number of an image by itself"),
        (0.4, 0.0, lambda y: y[::-1], None),  # others, and as many
    ],
)
def test_each_way_to_be_wrong_is_said(rate, path_rate, spoil, says):
    fault = mask_fault(Wrong(rate, path_rate, spoil), np.random.default_rng(0))
    assert (says in fault) if says else fault is None


def test_an_image_must_be_dropped_as_a_whole():
    class OfTokens(Dropout):
        def forward(self, x, rng=None):
            y, cache = Dropout(self.path_rate).forward(x, rng)
            return y, cache

    fault = mask_fault(OfTokens(0.0, 0.4), np.random.default_rng(0))
    assert fault == "does not leave out an image as a whole"


def test_masks_that_are_the_same_in_every_pass_are_seen():
    class ForEver(Dropout):
        def forward(self, x, rng=None):
            return super().forward(x, np.random.default_rng(0))

    fault = mask_fault(ForEver(0.3), np.random.default_rng(0))
    assert fault == "leaves out the same numbers in every pass"
