import cv2
import numpy as np
import pytest

import minivit
from minivit.checks.numeric import random_params
from minivit.models import Encoder
from minivit.study import photo, photo_figure
from minivit.study.photo import look
from tests.numeric import both_ways, relative_error

SIZES = dict(
    image_size=(8, 14), patch_size=2, channels=3, dim=10, depth=2, heads=5, mlp_dim=7, classes=0
)
R, S = 4, 7


def model_of(rng, pool="cls", **changes):
    model = minivit.ViT(**SIZES | changes, pool=pool)
    image = rng.standard_normal((*model.config["image_size"], 3))
    return model, random_params(model, rng), image


def similarity(a, b):
    """The cosine in words of sums; no conjugates, so that it is analytic."""
    return sum(a * b) / (sum(a * a) * sum(b * b)) ** 0.5


@both_ways
def test_the_gradient_of_a_cosine(differentiate, dtype, limit):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 11)).astype(dtype)
    s, da, db = photo.cosine(a.real, b.real)
    assert s == pytest.approx(similarity(a.real, b.real))
    assert relative_error(da, differentiate(lambda: similarity(a, b), a)) < limit
    assert relative_error(db, differentiate(lambda: similarity(a, b), b)) < limit
    assert da @ a.real == pytest.approx(0, abs=1e-14)  # a longer token is no more similar


@both_ways
@pytest.mark.parametrize("pool", ["cls", "mean", "patch_mean"])
def test_the_gradient_at_the_pixels(pool, differentiate, dtype, limit):
    model, params, image = model_of(np.random.default_rng(1), pool)
    found = look(model, params, image, (3, 1), (0, 5))
    assert (found.one, found.other) == ((3, 1), (0, 5))
    moved, params = image.astype(dtype), params.astype(dtype)

    def loss():
        tokens = Encoder.forward(model, params, moved[None])[0][0, -R * S :]
        return similarity(tokens[3 * S + 1], tokens[5])

    assert relative_error(found.gradient, differentiate(loss, moved)) < limit
    assert found.similarity[0, 5] == pytest.approx(loss().real)


def test_similarities_are_those_of_all_patches_with_one():
    tokens = np.random.default_rng(2).standard_normal((R, S, 6))
    found = photo.similarities(tokens, (2, 3))
    for place in np.ndindex(R, S):
        assert found[place] == pytest.approx(similarity(tokens[place], tokens[2, 3]))


@pytest.mark.parametrize("pool", ["cls", "patch_mean"])
def test_the_attention_of_the_class_token(pool):
    model, params, image = model_of(np.random.default_rng(3), pool)
    found = look(model, params, image)
    _, cache = Encoder.forward(model, params, image[None])
    attentions = [block["attn"]["att"][0] for block in cache["blocks"]]
    assert found.heads.shape == (5, R, S)
    for head, row, column in np.ndindex(5, R, S):
        expected = attentions[1][head, 0, 1 + row * S + column]
        assert found.heads[head, row, column] == expected
    first, second = ((att.mean(axis=0) + np.eye(1 + R * S)) / 2 for att in attentions)
    expected = sum(second[0, t] * first[t, 1:] for t in range(1 + R * S))
    np.testing.assert_allclose(found.rollout.reshape(-1), expected, rtol=1e-12)


def test_without_class_token_there_is_no_attention_of_it():
    found = look(*model_of(np.random.default_rng(4), "mean"))
    assert found.heads is None and found.rollout is None


def test_principal_components_are_eigenvectors_of_the_covariance():
    tokens = np.random.default_rng(5).standard_normal((R, S, 6)) * [1, 5, 2, 4, 0.5, 3] + 7
    components, shares = photo.principal_components(tokens)
    covariance = np.cov(tokens.reshape(-1, 6).T)
    variances, axes = np.linalg.eigh(covariance)
    np.testing.assert_allclose(shares, variances[:-4:-1] / variances.sum(), rtol=1e-10)
    salient = photo.most_salient(tokens)
    for i in range(3):
        expected = (tokens - tokens.mean(axis=(0, 1))) @ axes[:, -1 - i]  # (R, S)
        expected *= np.sign(expected[salient])
        np.testing.assert_allclose(components[..., i], expected, atol=1e-10)


def test_the_most_salient_patch_and_its_like():
    tokens = np.ones((R, S, 3)) + 0.01 * np.random.default_rng(6).standard_normal((R, S, 3))
    tokens[1, 2] = [-5, 1, 0]
    tokens[1, 3] = [-4.9, 1, 0]  # alike, and right beside it
    tokens[3, 6] = [-4, 1.1, 0]
    assert photo.most_salient(tokens + np.array([3, 0, 0])) == (1, 2)  # now the shortest
    similarity = photo.similarities(np.tile(tokens, (2, 2, 1))[:8, :8], (1, 2))
    assert photo.most_similar(similarity, (1, 2)) == (5, 2)  # the same patch, far below
    assert similarity[1, 3] > similarity[3, 6]
    similarity[4:], similarity[:, 7:] = -1, -1
    assert photo.most_similar(similarity, (1, 2)) == (3, 6)  # a quarter of 8 patches away


@pytest.mark.parametrize(
    "one, other, message",
    [
        ((4, 0), None, r"there is no patch \(4, 0\); expected a row from 0 to 3 and a column from"),
        (None, (0, -1), r"there is no patch \(0, -1\)"),
        ((2, 3), (2, 3), r"both patches are \(2, 3\); expected two"),
    ],
)
def test_refuses_patches_that_cannot_be_compared(one, other, message):
    with pytest.raises(ValueError, match=message):
        look(*model_of(np.random.default_rng(0)), one, other)


def test_refuses_a_photo_of_too_few_patches():
    with pytest.raises(ValueError, match="a photo of 3 patches; expected at least 4"):
        look(*model_of(np.random.default_rng(0), image_size=(2, 6)))


def test_equal_patches_get_equal_colours():
    grey = np.full((40, 70, 3), 0.5)
    columns = np.random.default_rng(7).standard_normal((1, S, 3))
    shown = photo_figure.colours(grey, np.repeat(columns, R, axis=0))
    assert shown.shape == (40, 70, 3) and shown.min() >= 0 and shown.max() <= 1
    np.testing.assert_allclose(shown, np.broadcast_to(shown[:1], shown.shape), atol=1e-4)


@pytest.mark.parametrize("number, rises", [(0, [1, 1, -2]), (1, [1, -1, 0]), (2, [1, 1, 1])])
def test_what_the_colour_of_each_component_is(number, rises):
    """From blue to yellow, from green to red, from dark to bright."""
    components = np.indices((R, S, 3)).sum(axis=0) % 2 * 2.0 - 1
    components[..., number] = np.linspace(-1, 1, S)
    shown = photo_figure.colours(np.full((40, 70, 3), 0.5), components)
    rise = shown @ rises  # (40, 70)
    assert rise[:, -20:].mean() > rise[:, 25:45].mean() + 0.1 > rise[:, :20].mean() + 0.2


def test_the_light_of_the_photo_is_in_its_colours():
    light = np.repeat(np.linspace(0, 1, 40)[:, None], 70, axis=1)
    components = np.repeat(np.random.default_rng(7).standard_normal((1, S, 3)), R, axis=0)
    shown = photo_figure.colours(np.dstack([light] * 3), components).sum(axis=2)
    assert (np.diff(shown, axis=0) > -1e-3).all() and (shown[-1] > shown[0] + 0.5).all()


def test_one_bright_patch_does_not_hide_the_others():
    values = np.linspace(0, 1, 200)
    values[-1] = 1000
    np.testing.assert_allclose(photo_figure.brightness(values)[:150], values[:150], rtol=0.02)
    assert photo_figure.brightness(values).max() == 1
    assert not photo_figure.brightness(np.zeros((2, 3))).any()


@pytest.mark.parametrize("heads", [1, 2, 5, 10])
@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_the_figure_has_a_picture_for_each_map(pool, heads):
    model, params, image = model_of(np.random.default_rng(8), pool, heads=heads)
    found = look(model, params, image, (1, 2), (3, 6))
    pixels = np.random.default_rng(9).integers(0, 256, (8, 14, 3)).astype(np.uint8)
    figure = photo_figure.photo_figure(pixels, found)
    assert len(figure.axes) == (6 + heads if pool == "cls" else 5)
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), pixels / 255)
    texts = [text.get_text() for text in figure.texts]
    assert "8 × 14 pixels, 4 × 7 patches" in texts
    assert f"cosine of their tokens: {found.similarity[3, 6]:.2f} for patch 2" in texts
    assert ("Attention rollout" in texts) == (pool == "cls")
    marked = [axes for axes in figure.axes if axes.patches]
    assert len(marked) == 2  # similarity and gradient
    for axes in marked:
        assert [square.get_xy() for square in axes.patches] == [(4, 2), (12, 6)]
        assert [text.get_text() for text in axes.texts] == ["1", "2"]
        assert [text.get_position() for text in axes.texts] == [(7, 3), (11, 7)]  # inside
    boxes = [axes.get_position() for axes in figure.axes]
    assert all(0 < box.x0 < box.x1 < 1 and 0 < box.y0 < box.y1 < 1 for box in boxes)
    for i, box in enumerate(boxes):  # no two pictures overlap
        assert not any(box.overlaps(other) for other in boxes[:i])
    assert sum(box.width * box.height for box in boxes) > (0.6 if pool == "cls" else 0.5)
    for format in ("jpg", "png"):
        data = photo_figure.encoded(figure, f"look.{format}")
        drawn = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert drawn.shape[1] == 1680 and drawn.std() > 20
