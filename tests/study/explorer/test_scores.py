import numpy as np

from minivit.layers import Softmax
from minivit.study import nudge
from minivit.study.explorer.scores import SLOPE_STEP, STEPS, moved_scores
from minivit.study.nudge import loss_with
from tests.study.explorer.cases import small_trace


def test_losses_and_slopes_are_those_of_nudge():
    record = small_trace(pool="cls")
    losses, slopes = moved_scores(record)
    assert losses.shape == (2, 3, 7, 7, len(STEPS)) and slopes.shape == (2, 3, 7, 7)
    rng = np.random.default_rng(0)
    for _ in range(20):
        block, *place = (rng.integers(size) for size in slopes.shape)
        scores = record[f"blocks.{block}.attn.scores"]
        found = nudge(record, scores, (0, *place), SLOPE_STEP)
        assert abs(slopes[block, *place] - found.slope) <= 1e-12
        expected = [loss_with(record, scores, (0, *place), eps) for eps in STEPS]
        np.testing.assert_allclose(losses[block, *place], expected, rtol=1e-13)


def test_every_slope_is_the_gradient_of_the_backward():
    record = small_trace(pool="cls")
    _, slopes = moved_scores(record)
    for block, found in enumerate(slopes):
        gradient = record[f"blocks.{block}.attn.scores"].gradient[0]
        np.testing.assert_allclose(found, gradient, rtol=1e-3, atol=1e-6 * np.abs(gradient).max())


def test_the_model_stays_as_it_is():
    record = small_trace()
    moved_scores(record)
    assert all(type(block.attn.softmax) is Softmax for block in record.layer.blocks)
