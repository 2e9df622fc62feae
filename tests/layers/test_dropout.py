import numpy as np
import pytest

import minivit
from minivit.checks.numeric import random_params
from minivit.layers import Dropout, PostNormBlock, PreNormBlock
from tests.numeric import analytic, complex_step, forward, relative_error

MODEL = minivit.ViT(
    image_size=(4, 6), patch_size=2, channels=1, dim=6, depth=2, heads=2, mlp_dim=5, classes=3,
    dropout=0.2, drop_path=0.5,
)  # fmt: skip


class Seeded:
    """A layer that draws the same random numbers in every forward pass."""

    def __init__(self, layer):
        self.layer, self.backward = layer, layer.backward
        if hasattr(layer, "init"):
            self.init = layer.init

    def forward(self, *arguments):
        return self.layer.forward(*arguments, np.random.default_rng(5))


@pytest.mark.parametrize(
    "layer, shape",
    [
        (Dropout(0.3), (3, 5, 6)),
        (Dropout(0.0, 0.4), (13, 5, 2)),
        (Dropout(0.3, 0.4), (13, 5, 2)),
        (PreNormBlock(6, 2, 11, dropout=0.3, drop_path=0.4), (7, 5, 6)),
        (PostNormBlock(6, 2, 11, dropout=0.3, drop_path=0.4), (7, 5, 6)),
        (MODEL, (5, 4, 6, 1)),
    ],
)
def test_gradients_equal_the_complex_step(layer, shape):
    rng = np.random.default_rng(0)
    layer, params = Seeded(layer), random_params(layer, rng)
    x = rng.standard_normal(shape)
    evaluated, _ = forward(layer.layer, params, x)
    dy = rng.standard_normal(evaluated.shape)
    y, gradients = analytic(layer, params, x, dy)
    assert (y != evaluated).any()
    params, x = params.astype(complex), x.astype(complex)

    def loss():
        return (forward(layer, params, x)[0] * dy).sum()

    for name, array in [("x", x), *params.named()]:
        assert relative_error(gradients[name], complex_step(loss, array)) <= 1e-12, name


def test_as_many_are_left_out_as_the_rate_says_and_the_mean_stays():
    x = np.ones((100, 50, 20), np.float32)
    y, cache = Dropout(0.25).forward(x, np.random.default_rng(0))
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert y.mean() == pytest.approx(1, abs=0.01)
    np.testing.assert_array_equal(y, cache["mask"])
    for axes in [(1, 2), (0, 2), (0, 1)]:  # independent along every axis
        assert ((y == 0).mean(axis=axes) < 0.5).all()


def test_stochastic_depth_leaves_out_whole_images():
    x = np.ones((3000, 2, 3))
    y, cache = Dropout(0.0, path_rate=0.4).forward(x, np.random.default_rng(0))
    assert cache["mask"].shape == (3000, 1, 1)
    assert set(np.unique(y.sum(axis=(1, 2)).round(9))) == {0, 10}
    assert y.mean() == pytest.approx(1, abs=0.05)


def test_both_at_once_keep_the_mean():
    y, _ = Dropout(0.3, 0.4).forward(np.ones((3000, 2, 30)), np.random.default_rng(0))
    assert set(np.unique(y.round(9))) == {0, round(1 / 0.42, 9)}
    assert y.mean() == pytest.approx(1, abs=0.05)


def test_evaluation_and_a_rate_of_zero_change_nothing():
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    np.testing.assert_array_equal(Dropout(0.9, 0.9).forward(x)[0], x)
    rng = np.random.default_rng(0)
    assert Dropout(0.0).forward(x, rng)[0] is x
    assert rng.random() == np.random.default_rng(0).random()  # nothing was drawn


def test_a_branch_that_is_left_out_is_passed_by():
    block = PreNormBlock(6, 2, 11, drop_path=1 - 1e-9)
    params = random_params(block, np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal((2, 5, 6))
    y, cache = block.forward(params, x, np.random.default_rng(2))
    np.testing.assert_array_equal(y, x)
    dy, grads = np.random.default_rng(3).standard_normal(x.shape), params.zeros_like()
    np.testing.assert_array_equal(block.backward(params, dy, cache, grads), dy)
    assert not grads.flat.any()


@pytest.mark.parametrize("rates", [(1, 0), (-0.1, 0), (0, 1.0), (0, float("nan"))])
def test_refuses_rates_that_leave_nothing(rates):
    with pytest.raises(ValueError, match="rate must be at least 0 and less than 1"):
        Dropout(*rates)


@pytest.mark.parametrize("rates", [dict(dropout=0.5), dict(drop_path=0.9)])
def test_the_model_drops_when_it_is_given_a_generator(rates):
    config = dict(image_size=4, patch_size=2, channels=1, dim=6, heads=2, mlp_dim=5, classes=3)
    model = minivit.ViT(**config, depth=2, **rates)
    params = random_params(model, np.random.default_rng(0))
    images = np.random.default_rng(1).standard_normal((9, 4, 4, 1))
    logits, _ = model.forward(params, images)
    dropped, cache = model.forward(params, images, np.random.default_rng(2))
    assert (dropped != logits).any()
    for name in ("drop1", "drop2"):
        assert all((block[name]["mask"] == 0).any() for block in cache["blocks"])


def test_stochastic_depth_grows_evenly_over_the_blocks():
    config = dict(image_size=4, patch_size=2, channels=1, dim=6, heads=2, mlp_dim=5, classes=3)
    model = minivit.ViT(**config, depth=4, dropout=0.1, drop_path=0.2)
    rates = [(block.drop1.path_rate, block.drop2.path_rate) for block in model.blocks]
    np.testing.assert_allclose(rates, [(r, r) for r in (0.05, 0.1, 0.15, 0.2)], rtol=1e-15)
    assert {block.drop1.rate for block in model.blocks} == {0.1} == {model.dropout.rate}
    assert {block.drop2.rate for block in model.blocks} == {0.1}
    assert minivit.ViT(**model.config).config == model.config
    assert (model.config["dropout"], model.config["drop_path"]) == (0.1, 0.2)
