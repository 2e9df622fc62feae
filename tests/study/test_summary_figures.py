import cv2
import numpy as np

from minivit.study import figures, summaries, summary_figures
from tests.study.cases import traced_vit


def drawn(figure):
    image = cv2.imdecode(np.frombuffer(figures.png(figure), np.uint8), cv2.IMREAD_COLOR)
    assert image.std() > 5  # something is drawn
    return figure


def test_maps_are_those_of_the_summaries():
    record = traced_vit()
    rollout = summaries.read_by_the_head(record, summaries.attention_rollout(record))
    grid = np.reshape(drawn(summary_figures.rollout(record)).axes, (2, 3))
    for i in range(3):
        np.testing.assert_array_equal(grid[0, i].images[0].get_array(), record.x[i].mean(axis=-1))
        np.testing.assert_array_equal(grid[1, i].images[0].get_array(), rollout[i])
    flow = summaries.gradient_weighted_attention(record) - np.eye(11)
    weighted = summaries.read_by_the_head(record, flow)
    grid = np.reshape(drawn(summary_figures.weighted_attention(record)).axes, (2, 3))
    np.testing.assert_array_equal(grid[1, 2].images[0].get_array(), weighted[2])


def test_entropy_shows_every_head_with_its_number():
    record = traced_vit()
    values = summaries.attention_entropy(record)
    axes = drawn(summary_figures.entropy(record)).axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), values)
    assert [text.get_text() for text in axes.texts] == [f"{value:.2g}" for value in values.flat]
    assert axes.images[0].get_clim() == (0, np.log(11))


def test_gradient_norms_show_every_layer_and_every_head():
    record = traced_vit()
    bars, heads = drawn(summary_figures.gradient_norms(record)).axes[:2]
    widths = [bar.get_width() for bar in bars.patches]
    assert widths == list(summaries.layer_gradient_norms(record).values())
    np.testing.assert_array_equal(
        heads.images[0].get_array(), summaries.head_gradient_norms(record)
    )


def test_update_ratios_show_every_matrix():
    rows = [{"a.w": np.inf, "b.w": 0.1}, {"a.w": 0.01, "b.w": 0.2}]
    axes = drawn(summary_figures.update_ratios(rows)).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [np.nan, 0.01])
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [0.1, 0.2])
    assert axes.lines[2].get_ydata() == [1e-3, 1e-3]
