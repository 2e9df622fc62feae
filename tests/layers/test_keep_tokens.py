import numpy as np
import pytest

import minivit
from minivit.checks.numeric import random_params
from minivit.layers import FillTokens, KeepTokens
from minivit.layers.keep_tokens import draw_places
from tests.numeric import complex_step, relative_error

PLACES = np.array([[5, 0, 3], [1, 4, 2]])  # of 6 tokens, in another order
RNG = np.random.default_rng


def arrays(*shapes):
    rng = RNG(0)
    return [rng.standard_normal(shape) for shape in shapes]


@pytest.mark.usefixtures("everywhere")
def test_tokens_are_taken_from_their_places_and_gradients_go_back_there():
    x, dy = arrays((2, 6, 5), (2, 3, 5))
    y, cache = KeepTokens().forward(x, places=PLACES)
    dx = KeepTokens().backward(dy, cache)
    expected = np.zeros_like(x)
    for b in range(2):
        for i, place in enumerate(PLACES[b]):
            np.testing.assert_array_equal(y[b, i], x[b, place])
            expected[b, place] = dy[b, i]
    np.testing.assert_array_equal(dx, expected)


@pytest.mark.usefixtures("everywhere")
def test_tokens_return_to_their_places_and_a_mask_fills_the_others():
    x, mask, dy = arrays((2, 3, 5), (5,), (2, 6, 5))
    layer, params, grads = FillTokens(6, 5), {"mask": mask}, {"mask": np.ones(5)}
    y, cache = layer.forward(params, x, places=PLACES)
    dx = layer.backward(params, dy, cache, grads)
    expected, dmask = np.empty((2, 6, 5)), np.ones(5)  # it is added to
    for b in range(2):
        for place in range(6):
            if place in PLACES[b]:
                i = list(PLACES[b]).index(place)
                expected[b, place] = x[b, i]
                np.testing.assert_array_equal(dx[b, i], dy[b, place])
            else:
                expected[b, place] = mask
                dmask += dy[b, place]
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_allclose(grads["mask"], dmask, rtol=1e-12)


@pytest.mark.parametrize("layer, T", [(KeepTokens(), 6), (FillTokens(6, 5), 3)])
def test_gradients_equal_the_complex_step_and_pytorch(layer, T):
    x, dy = arrays((2, T, 5), (2, 9 - T, 5))
    own = [random_params(layer, RNG(1))] if T == 3 else []
    grads = [params.zeros_like() for params in own]
    _, cache = layer.forward(*own, x, places=PLACES)
    dx = layer.backward(*own, dy, cache, *grads)
    z = x + 0j
    slopes = complex_step(lambda: (layer.forward(*own, z, places=PLACES)[0] * dy).sum(), z)
    assert relative_error(dx, slopes) <= 1e-12
    torch = pytest.importorskip("torch")
    twin, index = torch.tensor(x, requires_grad=True), torch.tensor(PLACES)[..., None]
    index = index.expand(-1, -1, 5)
    if own:
        mask = torch.tensor(own[0]["mask"], requires_grad=True)
        y = mask.expand(2, 6, 5).scatter(1, index, twin)
    else:
        y = twin.gather(1, index)
    y.backward(torch.tensor(dy))
    assert relative_error(dx, twin.grad.numpy()) <= 1e-10
    if own:
        assert relative_error(grads[0]["mask"], mask.grad.numpy()) <= 1e-10


def test_filling_undoes_keeping():
    (x,) = arrays((2, 6, 5))
    params = {"mask": np.zeros(5)}
    kept, _ = KeepTokens().forward(x, places=PLACES)
    filled, _ = FillTokens(6, 5).forward(params, kept, places=PLACES)
    again, _ = KeepTokens().forward(filled, places=PLACES)
    np.testing.assert_array_equal(again, kept)
    assert (filled == 0).all(axis=-1).sum() == 6


def test_a_share_is_drawn_for_each_image_in_ascending_order():
    places = draw_places(RNG(0), 4000, 9, 0.25, always=1)
    assert places.shape == (4000, 3)  # the first, and 2 of the 8 others
    assert (places[:, 0] == 0).all()
    assert (np.diff(places, axis=1) > 0).all()
    counts = np.bincount(places[:, 1:].ravel(), minlength=9)[1:]
    np.testing.assert_allclose(counts, 1000, atol=120)
    both = ((places == 3) | (places == 7)).sum(axis=1) == 2  # 1 of 28 pairs
    assert both.mean() == pytest.approx(1 / 28, abs=0.01)
    np.testing.assert_array_equal(places, draw_places(RNG(0), 4000, 9, 0.25, always=1))


def test_the_parts_of_a_batch_draw_what_the_whole_draws():
    rng = RNG(0)
    parts = [draw_places(rng, 3, 8, 0.5), draw_places(rng, 2, 8, 0.5)]
    np.testing.assert_array_equal(np.concatenate(parts), draw_places(RNG(0), 5, 8, 0.5))


def test_one_token_at_least_is_kept():
    assert draw_places(RNG(0), 3, 5, 0.01).shape == (3, 1)
    assert draw_places(RNG(0), 3, 5, 1.0).tolist() == [[0, 1, 2, 3, 4]] * 3


def test_evaluation_and_a_share_of_one_leave_nothing_out():
    (x,) = arrays((2, 6, 5))
    assert KeepTokens(0.5).forward(x)[0] is x
    y, cache = KeepTokens().forward(x, RNG(0))
    assert y is x
    assert KeepTokens().backward(x, cache) is x
    assert FillTokens(6, 5).forward({}, x)[0] is x
    assert KeepTokens(0.5).forward(x, RNG(0))[0].shape == (2, 3, 5)


@pytest.mark.parametrize(
    "places, error, message",
    [
        ([[0, 1], [2, 2]], ValueError, "the places of an image must differ"),
        ([[0, 6], [1, 2]], ValueError, r"of the 6 tokens, 0 to 5, got 0 to 6"),
        ([[0, -1], [1, 2]], ValueError, r"0 to 5, got -1 to 2"),
        ([[], []], TypeError, "places must be integers, got float64"),
        ([[0.0, 1], [2, 3]], TypeError, "places must be integers, got float64"),
        ([[0, 1]], ValueError, r"places: expected shape \(2, .\), got \(1, 2\)"),
        ([0, 1], ValueError, r"places: expected shape \(2, .\), got \(2,\)"),
    ],
)
@pytest.mark.parametrize("layer", [KeepTokens(), FillTokens(6, 5)])
def test_refuses_places_that_do_not_fit(layer, places, error, message):
    params = [{"mask": np.zeros(5)}] if isinstance(layer, FillTokens) else []
    x = np.zeros((2, 2 if params else 6, 5))
    with pytest.raises(error, match=f"{type(layer).__name__}: .*{message}"):
        layer.forward(*params, x, places=places)


def test_refuses_more_places_than_tokens_and_none():
    with pytest.raises(ValueError, match=r"places: expected shape \(2, 2\), got \(2, 3\)"):
        FillTokens(6, 5).forward({"mask": np.zeros(5)}, np.zeros((2, 2, 5)), places=PLACES)
    with pytest.raises(ValueError, match="of the 6 tokens, 0 to 5, got none"):
        KeepTokens().forward(np.zeros((2, 6, 5)), places=np.zeros((2, 0), int))


@pytest.mark.parametrize("share", [0, -0.5, 1.1, float("nan")])
def test_refuses_a_share_that_keeps_nothing_or_more_than_all(share):
    with pytest.raises(ValueError, match="share must be more than 0 and at most 1"):
        KeepTokens(share)


def test_a_vit_goes_on_with_the_tokens_that_it_is_told():
    sizes = dict(image_size=4, patch_size=2, channels=1, dim=6, depth=2, heads=2, mlp_dim=5)
    model = minivit.ViT(**sizes, classes=3, pool="cls")
    params = random_params(model, RNG(0))
    images = RNG(1).standard_normal((2, 4, 4, 1))
    logits, _ = model.forward(params, images)
    places = np.array([[0, 1, 2, 3, 4]] * 2)
    np.testing.assert_array_equal(model.forward(params, images, places=places)[0], logits)
    some, cache = model.forward(params, images, places=places[:, [0, 2, 4]])
    assert (some != logits).all()
    dimages = model.backward(params, np.ones_like(some), cache, params.zeros_like())
    changed = images.copy()
    changed[:, :2, :2] += 1  # of patch 0, token 1
    again, _ = model.forward(params, changed, places=places[:, [0, 2, 4]])
    np.testing.assert_array_equal(again, some)
    assert not dimages[:, :2, :2].any() and dimages[:, :2, 2:].all()
