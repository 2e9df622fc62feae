import io

import numpy as np
import pytest
from PIL import Image

import minivit
from minivit.study import figures
from minivit.study.architecture import architecture

SMALL = dict(
    image_size=(6, 9), patch_size=3, channels=2, dim=12, depth=5, heads=3, mlp_dim=7, classes=4
)


def texts(**changes):
    model = minivit.ViT(**SMALL | changes)
    figure = architecture(model, np.zeros((6, 9, 1)))
    shown = Image.open(io.BytesIO(figures.png(figure)))
    assert np.std(shown.convert("L")) > 5  # something is drawn
    return [text.get_text() for axes in figure.axes for text in axes.texts if text.get_text()]


def test_it_names_every_step_in_order_with_its_shapes():
    shown = texts(pool="cls")
    names = [
        "patches", "class token", "positions", "5 blocks", "layer norm", "pool", "head",
        "layer norm", "attention", "+", "layer norm", "MLP", "+",
        "queries, keys, values", "scores", "softmax", "mix", "join and project",
    ]  # fmt: skip
    assert [text for text in shown if text in names] == names
    for shape in ("6 × 9 × 2", "6 × 12", "7 × 12", "3 × 7 × 7", "3 × 7 × 4", "4 logits"):
        assert shape in shown
    for formula in ("w: 18 × 12", "w: 12 × 36", "pos: 7 × 12", "12 → 7 → 12", "3 heads"):
        assert any(formula in text for text in shown), formula


def test_convolutions_stand_before_the_patches():
    shown = texts(stem=[(2, 1, 5), (3, 1, 8)], patch_size=(1, 2))
    names = ["convolution", "convolution", "patches", "positions"]
    assert [text for text in shown if text in names] == names
    shapes = ["6 × 9 × 2", "5 × 8 × 5", "3 × 6 × 8"]
    assert [text for text in shown if text in shapes] == shapes
    for formula in ("2 × 2,\nthen a gate", "3 × 3,\nthen a gate", "w: 16 × 12"):
        assert any(formula in text for text in shown), formula


@pytest.mark.parametrize(
    "changes, names",
    [
        (dict(positions=None), ["patches", "5 blocks", "layer norm", "pool", "head"]),
        (dict(norm="post"), ["patches", "positions", "5 blocks", "pool", "head"]),
        (
            dict(norm_pooled=True),
            ["patches", "positions", "5 blocks", "pool", "layer norm", "head"],
        ),
        (dict(classes=0), ["patches", "positions", "5 blocks", "layer norm", "pool"]),
    ],
)
def test_the_first_row_leaves_out_what_the_model_has_not(changes, names):
    known = {"patches", "class token", "positions", "5 blocks", "layer norm", "pool", "head"}
    shown = [text for text in texts(**changes) if text in known]
    assert shown[: len(names)] == names
    assert shown[len(names) :] == ["layer norm"] * 2  # those of a block


def test_in_a_post_norm_block_the_layer_norm_comes_after_the_sum():
    shown = [text for text in texts(norm="post") if text in ("layer norm", "attention", "MLP", "+")]
    assert shown == ["attention", "+", "layer norm", "MLP", "+", "layer norm"]


def test_fixed_positions_are_not_drawn_as_learned():
    def colors(positions):
        figure = architecture(minivit.ViT(**SMALL, positions=positions), np.zeros((6, 9, 1)))
        return [patch.get_facecolor() for patch in figure.axes[0].patches]

    assert colors("learned") != colors("sincos2d")
