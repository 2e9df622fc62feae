"""A cause for every wrong gradient, as arrays; bugs in real layers are in test_faults."""

import numpy as np
import pytest

from minivit.checks.diagnose import Mismatch, diagnose
from minivit.checks.report import UNKNOWN
from minivit.layers.rotary import rotate

RIGHT = np.random.default_rng(0).standard_normal((5, 7))
SQUARE = np.random.default_rng(1).standard_normal((6, 6))
TURNED = rotate(SQUARE)  # all rows but the first
MASKS = np.random.default_rng(3).random((2, 5, 7)) < 0.5
SHAPE = (3, 4, 12)  # B, T, D of the input


@pytest.mark.parametrize(
    "wrong, right, expected",
    [
        (0 * RIGHT, RIGHT, "it is zero where it should not be"),
        (np.where(RIGHT[2, 3] == RIGHT, np.inf, RIGHT), RIGHT, "not finite, first at [2, 3]"),
        (-RIGHT, RIGHT, "it is −1 times"),
        (2 * RIGHT, RIGHT, "it is 2 times"),
        (RIGHT / 3, RIGHT, "it is 1/B = 1/3 times"),
        (RIGHT * 3, RIGHT, "it is B = 3 times"),
        (RIGHT / 4, RIGHT, "it is 1/T = 1/4 times"),
        (RIGHT / 12, RIGHT, "it is 1/D = 1/12 or 1/B·T = 1/12 times"),
        (RIGHT / 12**0.5, RIGHT, "it is 1/√D = 1/√12 times"),
        (RIGHT * 6**0.5, RIGHT, "it is 2.44949 times"),
        (0.371 * RIGHT, RIGHT, "it is 0.371 times"),
        (SQUARE.T, SQUARE, "it is the transpose of"),
        (RIGHT.T.reshape(5, 7), RIGHT, "it is the transpose, reshaped"),
        (SQUARE[[1, 0, 2, 3, 5, 4]], SQUARE, "axis 0 are permuted: they are in the order [1, 0"),
        (RIGHT[:, ::-1], RIGHT, "axis 1 are permuted: they are in the order [6, 5, 4"),
        (np.random.default_rng(2).permuted(RIGHT), RIGHT, "right but in the wrong places"),
        (RIGHT[[0, 1, 0, 1]], RIGHT[[0, 0, 1, 1]], "right but in the wrong places"),
        (RIGHT * (np.arange(7) < 4), RIGHT, "4 of 7 slices along axis 1 are right; the wrong ones"),
        (RIGHT + RIGHT.mean(axis=1, keepdims=True), RIGHT, "a constant along axis 1"),
        (RIGHT + 1, RIGHT, "a constant along axis 1"),
        (RIGHT * [1, 1, 1, 1, 2, 2, 2], RIGHT, "ones are [4, 5, 6]; there, it is 2 times"),
        (np.vstack([RIGHT[:3], 0 * RIGHT[3:]]), RIGHT, "ones are [3, 4]; there, it is zero"),
        (np.vstack([RIGHT.sum(axis=0)] * 5), RIGHT, "it is summed over axis 0 and should not"),
        (np.vstack([RIGHT.mean(axis=0)] * 5), RIGHT, "it is averaged over axis 0 and should not"),
        (np.full((5, 7), RIGHT.sum()), RIGHT, "it is summed over all its axes and should not"),
        (RIGHT, 1e-13 * RIGHT, "it should be zero: the loss does not depend on this"),
        (RIGHT * MASKS[0], RIGHT * MASKS[1], "forward and backward use different masks"),
        (RIGHT.T.reshape(5, 7, 1), RIGHT[:, :, None], "in the wrong order, as after transpose(1"),
        (TURNED, SQUARE, "the right length and the wrong angle"),
        (RIGHT**2, RIGHT, UNKNOWN),
        (np.ones((1, 1)), 3 * np.ones((1, 1)), UNKNOWN),  # one number is a multiple of any other
    ],
)  # fmt: skip
def test_the_cause_of_a_wrong_array(wrong, right, expected):
    assert expected in diagnose(Mismatch(wrong, right, SHAPE))


@pytest.mark.parametrize(
    "factor, x_shape, heads, name",
    [
        (5**0.5, (2, 7, 15), 3, "√d = √5"),
        (3**0.5, (2, 7, 15), 3, "1.73205"),  # no width of a head here, though it divides D
        (5**0.5, (2, 7, 15), None, "2.23607"),
        (1 / 4, (2, 7, 32), 2, "1/√d = 1/√16"),
        (2, (2, 3, 12), 3, "2 or B = 2 or √d = √4"),
        (12**0.5, (2, 3, 12), 1, "√D = √12 or √d = √12"),
        (7**0.5, (2, 3, 5, 7), None, "2.64575"),  # scores or images: the last axis is not D
    ],
)
def test_a_factor_is_called_after_the_width_of_a_head_only_if_it_is_one(
    factor, x_shape, heads, name
):
    mismatch = Mismatch(factor * RIGHT, RIGHT, x_shape, heads=heads)
    assert diagnose(mismatch) == f"it is {name} times what it should be, in every entry"


def test_a_sample_shows_zeros_and_factors_alone():
    sample = RIGHT.ravel()
    assert "it is −1 times" in diagnose(Mismatch(-sample, sample, SHAPE), whole=False)
    assert "it is zero" in diagnose(Mismatch(0 * sample, sample, SHAPE), whole=False)
    assert diagnose(Mismatch(sample[::-1], sample, SHAPE), whole=False) is None


def test_the_columns_of_q_k_and_v_have_names():
    wrong = RIGHT[:, :6] * [1, 1, 1, 1, 2, 2]
    assert "the wrong ones are [4, 5], which belong to v" in diagnose(
        Mismatch(wrong, RIGHT[:, :6], SHAPE, "blocks.0.attn.qkv.w")
    )
