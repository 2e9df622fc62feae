import numpy as np

from minivit.layers import Softmax
from minivit.study import nudge
from minivit.study.explorer import scores
from minivit.study.explorer.scores import SLOPE_STEP, STEPS, heads_to_move, moved_scores
from minivit.study.tracing.nudge import loss_with
from tests.study.explorer.cases import small_trace


def test_losses_and_slopes_are_those_of_nudge():
    record = small_trace(pool="cls")
    heads = [(1, 0), (0, 2)]
    losses, slopes = moved_scores(record, heads)
    assert losses.shape == (2, 7, 7, len(STEPS)) and slopes.shape == (2, 7, 7)
    rng = np.random.default_rng(0)
    for _ in range(20):
        at, *cell = (rng.integers(size) for size in slopes.shape)
        moved, place = record[f"blocks.{heads[at][0]}.attn.scores"], (heads[at][1], *cell)
        found = nudge(record, moved, (0, *place), SLOPE_STEP)
        assert abs(slopes[at, *cell] - found.slope) <= 1e-12
        expected = [loss_with(record, moved, (0, *place), eps) for eps in STEPS]
        np.testing.assert_allclose(losses[at, *cell], expected, rtol=1e-13)


def test_every_slope_is_the_gradient_of_the_backward():
    record = small_trace(pool="cls")
    heads = heads_to_move(record)
    assert heads == [(block, head) for block in range(2) for head in range(3)]
    _, slopes = moved_scores(record, heads)
    for (block, head), found in zip(heads, slopes, strict=True):
        gradient = record[f"blocks.{block}.attn.scores"].gradient[0, head]
        np.testing.assert_allclose(found, gradient, rtol=1e-3, atol=1e-6 * np.abs(gradient).max())


def test_of_many_scores_those_of_the_head_with_the_largest_gradient_are_moved(monkeypatch):
    record = small_trace(pool="cls")
    monkeypatch.setattr(scores, "FEW", 293)  # 2 · 3 · 7 · 7 = 294
    ((block, head),) = heads_to_move(record)
    gradients = [record[f"blocks.{n}.attn.scores"].gradient[0] for n in range(2)]
    assert np.abs(gradients[block][head]).max() == np.abs(gradients).max()


def test_the_model_stays_as_it_is():
    record = small_trace()
    moved_scores(record, [(0, 1)])
    assert all(type(block.attn.softmax) is Softmax for block in record.layer.blocks)
