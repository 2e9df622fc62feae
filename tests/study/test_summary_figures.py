import cv2
import numpy as np

import minivit
from minivit.checks.numeric import random_params
from minivit.data.normalize import Normalize
from minivit.study import figures, summaries, summary_figures, trace
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


def test_answers_are_explained_by_the_gradient_of_the_winning_logit():
    rng = np.random.default_rng(0)
    model = minivit.ViT(
        image_size=8, patch_size=4, channels=1, dim=6, depth=2, heads=2, mlp_dim=5, classes=3
    )
    params = random_params(model, rng).astype(np.float32)
    classifier = minivit.Classifier(model, params, Normalize(0.4, 0.3), ["a", "b", "c"])
    pixels = rng.integers(0, 256, (2, 8, 8, 1), np.uint8)
    grid = np.reshape(drawn(summary_figures.attention_of_answers(classifier, pixels)).axes, (2, 3))

    prepared = classifier.preparation(pixels)
    logits, cache = model.forward(params, prepared)
    winner = np.eye(3, dtype=np.float32)[logits.argmax(axis=1)]
    gradient = model.backward(params, winner, cache, params.zeros_like())[..., 0]
    record = trace(model, params, prepared, dy=winner)
    rollout = summaries.read_by_the_head(record, summaries.attention_rollout(record))
    for i, row in enumerate(grid):
        read, flow, why = (axes.images[0].get_array() for axes in row)
        np.testing.assert_array_equal(read.squeeze(), pixels[i].squeeze())
        np.testing.assert_allclose(flow, rollout[i], rtol=1e-5)
        np.testing.assert_allclose(why, gradient[i], rtol=1e-4, atol=1e-6)
        name = "abc"[logits[i].argmax()]
        assert row[0].get_ylabel() == f"{name}  {classifier.predict(pixels)[i].max():.0%}"
