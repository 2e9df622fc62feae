import numpy as np
import pytest

import minivit
from minivit.layers import Linear
from minivit.models import Encoder, Masked, Permutation

SIZES = dict(image_size=(4, 6), patch_size=2, channels=1, dim=12, depth=2, heads=3, mlp_dim=7)


class Brightness(Encoder):
    """How bright is each patch? One number for each token, from a linear head."""

    def __init__(self, **encoder):
        super().__init__(**encoder)
        self.head = Linear(self.config["dim"], 1)

    def init(self, rng, dtype=np.float32):
        return super().init(rng, dtype) | {"head": self.head.init(rng, dtype)}

    def forward(self, params, images, rng=None, *, keep=True):
        tokens, cache = super().forward(params, images, rng, keep=keep)  # (B, N, D)
        y, cache["head"] = self.head.forward(params["head"], tokens)  # (B, N, 1)
        return y[:, :, 0], cache

    def backward(self, params, dy, cache, grads):
        dy = dy[:, :, None]  # (B, N, 1)
        dtokens = self.head.backward(params["head"], dy, cache["head"], grads["head"])
        return super().backward(params, dtokens, cache, grads)  # (B, H, W, C)


def brightness(images):
    """The mean of each patch, (B, N)."""
    B = len(images)
    return images.reshape(B, 2, 2, 3, 2).mean(axis=(2, 4)).reshape(B, 6)


def mean_square(y, target):
    """The loss, and its gradient."""
    error = y - target
    return (error * error).mean(), 2 * error / error.size


@pytest.mark.parametrize("changes", [{}, dict(norm="post", positions="sincos1d", dropout=0.2)])
def test_a_page_of_code_makes_another_model_on_the_encoder(changes):
    rng = np.random.default_rng(0)
    images = rng.standard_normal((3, 4, 6, 1))
    report = minivit.gradcheck(
        Brightness(**SIZES | changes), images, loss=lambda y: mean_square(y, brightness(images))
    )
    assert report.ok, report
    assert max(row.error for row in report.rows) <= 1e-12


def test_that_model_learns_and_its_repr_says_what_it_is():
    model, rng = Brightness(**SIZES), np.random.default_rng(0)
    params = minivit.Params(model.init(rng))
    optimizer, grads = minivit.AdamW(params, 1e-2), params.zeros_like()
    images = rng.standard_normal((50, 4, 6, 1)).astype(np.float32)
    losses = []
    for _ in range(20):
        y, cache = model.forward(params, images)
        loss, dy = mean_square(y, brightness(images))
        model.backward(params, dy, cache, grads.zero())
        optimizer.step(grads)
        losses.append(loss)
    assert losses[-1] < 0.3 * losses[0]
    assert eval(repr(model)).config == model.config
    tokens, cache = model.forward(params, images, keep=False)
    with pytest.raises(ValueError, match="Brightness: the cache was not kept"):
        model.backward(params, tokens, cache, grads)


@pytest.mark.parametrize("positions", ["sincos1d", "sincos2d"])
def test_sinusoidal_positions_leave_out_the_class_token(positions):
    zeros = np.zeros((1, 7, 12))
    with_token = Encoder(**SIZES, positions=positions, class_token=True)
    pos, _ = with_token.pos.forward({}, zeros)
    expected, _ = Encoder(**SIZES, positions=positions).pos.forward({}, zeros[:, 1:])
    assert not pos[0, 0].any()
    np.testing.assert_array_equal(pos[0, 1:], expected[0])
    assert len(np.unique(expected.round(6), axis=1)[0]) == 6  # all places differ
    assert list(with_token.init(np.random.default_rng(0))) == ["patches", "cls", "blocks", "ln"]


def test_rotary_positions_have_no_parameters_and_refuse_a_part_of_the_tokens():
    encoder = Encoder(**SIZES, positions="rotary", class_token=True)
    params = encoder.init(np.random.default_rng(0))
    assert list(params) == ["patches", "cls", "blocks", "ln"]
    images = np.random.default_rng(1).standard_normal((2, 4, 6, 1)).astype(np.float32)
    with pytest.raises(ValueError, match="Encoder: rotary positions count all tokens"):
        encoder.forward(params, images, places=np.array([[0, 1], [0, 2]]))


@pytest.mark.parametrize("kind", [Masked, Permutation])
def test_models_that_leave_patches_out_or_shuffle_them_refuse_rotary_positions(kind):
    with pytest.raises(ValueError, match=f"{kind.__name__}: "):
        kind(**SIZES, positions="rotary")


def test_the_tokens_of_an_encoder_are_those_of_the_model_on_it():
    images = np.random.default_rng(1).standard_normal((3, 4, 6, 1)).astype(np.float32)
    encoder, vit = Encoder(**SIZES, class_token=True), minivit.ViT(**SIZES, classes=4, pool="cls")
    params = minivit.Params(vit.init(np.random.default_rng(0)))
    params["head"]["w"][...] = np.eye(12, 4)
    tokens, _ = encoder.forward(params, images)
    logits, _ = vit.forward(params, images)
    assert tokens.shape == (3, 7, 12)
    np.testing.assert_array_equal(logits, tokens[:, 0, :4])


def test_patches_may_be_higher_than_they_are_wide():
    model = Encoder(**SIZES | dict(patch_size=(4, 2)))
    assert (model.tokens, model.config["patch_size"]) == (3, [4, 2])
    assert Encoder(**SIZES | dict(patch_size=[2, 2])).config["patch_size"] == 2
    images = np.random.default_rng(0).standard_normal((3, 4, 6, 1))
    report = minivit.gradcheck(model, images)
    assert report.ok, report
    found = minivit.structure(minivit.ViT(**SIZES | dict(patch_size=(4, 2), classes=4)))
    assert found.ok, found
    for wrong, message in [((4, 4), "patches of 4 x 4"), ((4, 0), "at least 1, got 0")]:
        with pytest.raises(ValueError, match=message):
            Encoder(**SIZES | dict(patch_size=wrong))
