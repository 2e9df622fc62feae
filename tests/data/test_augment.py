import cv2
import numpy as np
import pytest

from minivit.data.augment import Augmentation


def pixels(seed, shape):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def changed(augmentation, images, seed=0):
    """The images, each changed by its own random amount."""
    maps = augmentation.draw(np.random.default_rng(seed), *images.shape[:3])
    return augmentation.apply(images, maps)


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_every_image_is_moved_by_its_own_amount(channels):
    images = np.zeros((300, 9, 11, *channels), np.uint8)
    images[:, 4, 6] = 200  # one bright pixel
    shifted = changed(Augmentation(shift=2), images)
    assert (shifted.shape, shifted.dtype) == (images.shape, images.dtype)
    flat = shifted.reshape(300, 9, 11, -1)[..., 0]
    _, rows, columns = np.nonzero(flat)
    assert len(rows) == 300  # it is still there, once
    assert (flat.max(axis=(1, 2)) == 200).all()
    moves = {(row - 4, column - 6) for row, column in zip(rows, columns, strict=True)}
    assert moves == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}
    shifted = changed(Augmentation(shift=1), np.ones((50, 4, 4, *channels), np.uint8))
    sums = set(shifted.reshape(50, 16, -1)[..., 0].sum(axis=1).tolist())
    assert sums == {16, 12, 9}  # zeros come in at the edge


def test_flip_mirrors_half_of_the_images_left_to_right():
    images = pixels(0, (400, 5, 8))
    flipped = changed(Augmentation(flip=True), images)
    mirrored = (flipped == images[:, :, ::-1]).all(axis=(1, 2))
    same = (flipped == images).all(axis=(1, 2))
    assert (mirrored | same).all()
    assert 0.4 < mirrored.mean() < 0.6


@pytest.mark.parametrize(
    "augmentation, largest_turn, sizes",
    [
        (Augmentation(rotation=30), 30, (1, 1)),
        (Augmentation(scale=0.25), 0, (0.75, 1.25)),
        (Augmentation(rotation=20, scale=0.1), 20, (0.9, 1.1)),
    ],
)
def test_turns_and_grows_about_the_middle(augmentation, largest_turn, sizes):
    image = np.zeros((61, 81, 3), np.uint8)  # three bright spots, a channel each
    spots = np.array([[40, 30], [60, 30], [40, 15]])  # x, y: the middle, right of it, above it
    for channel, (x, y) in enumerate(spots):
        spot = np.zeros((61, 81), np.uint8)
        spot[y, x] = 255
        image[..., channel] = cv2.GaussianBlur(spot, (0, 0), 1.5) * 10
    warped = changed(augmentation, np.stack([image] * 300)).astype(float)
    rows, columns = np.mgrid[:61, :81]
    weight = warped.sum(axis=(1, 2))  # (300, 3)
    x = np.einsum("bijc,ij->bc", warped, columns) / weight
    y = np.einsum("bijc,ij->bc", warped, rows) / weight
    np.testing.assert_allclose(x[:, 0], 40, atol=0.1)
    np.testing.assert_allclose(y[:, 0], 30, atol=0.1)
    right, up = np.stack([x[:, 1] - 40, y[:, 1] - 30]), np.stack([x[:, 2] - 40, y[:, 2] - 30])
    scales = np.hypot(*right) / 20
    np.testing.assert_allclose(np.hypot(*up) / 15, scales, atol=0.03)  # the same along both axes
    np.testing.assert_allclose((right * up).sum(axis=0) / 300, 0, atol=0.03)  # still a right angle
    turns = np.degrees(np.arctan2(right[1], right[0]))
    assert np.abs(turns).max() <= largest_turn + 0.5
    assert turns.min() <= -0.9 * largest_turn
    assert turns.max() >= 0.9 * largest_turn
    assert (scales.min(), scales.max()) == pytest.approx(sizes, abs=0.02)


def test_an_image_is_resampled_once(monkeypatch):
    calls = []
    for name in ("warpAffine", "remap"):
        warp = getattr(cv2, name)

        def counted(*arguments, warp=warp, **options):
            calls.append(1)
            return warp(*arguments, **options)

        monkeypatch.setattr(cv2, name, counted)
    for elastic in (0, 2):
        changed(Augmentation(2, 10, 0.1, True, elastic, erase=1), pixels(0, (7, 9, 8, 3)))
        assert len(calls) == 7
        calls.clear()


def test_warping_a_little_is_the_affine_map_alone():
    images = pixels(3, (20, 13, 11))
    bent, straight = (
        changed(Augmentation(2, 10, 0.1, True, elastic), images).astype(int)
        for elastic in (1e-9, 0)
    )
    # OpenCV rounds places to 1/32 of a pixel, in the middle between two either way
    assert np.mean(np.abs(bent - straight) > 8) < 0.02


def test_warping_moves_each_part_of_an_image_by_its_own_amount():
    rows, columns = np.mgrid[:41, :41]
    images = np.stack([np.stack([6 * rows, 6 * columns], axis=2)] * 200).astype(np.uint8)
    bent = changed(Augmentation(elastic=3), images) / 6.0  # each pixel says where it comes from
    inside = (slice(None), slice(5, -5), slice(5, -5))
    moves = (bent - images / 6.0)[inside]  # (200, 31, 31, 2)
    assert np.abs(moves).max() < 6  # a cubic may go beyond its points
    assert np.percentile(np.abs(moves), 99) > 2
    assert np.abs(moves.mean(axis=0)).max() < 0.5  # neither way more often
    assert moves.std(axis=0).min() > 0.5  # everywhere
    assert np.abs(np.diff(moves, axis=1)).max() < 2  # smoothly
    corners = moves[:, [0, 0, -1, -1], [0, -1, 0, -1]].reshape(200, 8)
    others = np.corrcoef(corners.T)[~np.eye(8, dtype=bool)]
    assert np.abs(others).max() < 0.35  # the parts do not move together


def test_erasing_hides_a_rectangle_of_some_images():
    images = np.full((3000, 20, 30, 4), 7, np.uint8)
    erased = changed(Augmentation(erase=0.4), images)
    assert 120 < erased[erased != 7].mean() < 135  # noise
    lost = (erased != 7).any(axis=3)
    hit = lost.any(axis=(1, 2))
    assert 0.36 < hit.mean() < 0.44
    lost = lost[hit]
    rows, columns = lost.any(axis=2), lost.any(axis=1)
    np.testing.assert_array_equal(lost, rows[:, :, None] & columns[:, None])
    for line in (rows, columns):  # in one piece
        assert (np.abs(np.diff(line.astype(int), prepend=0, append=0)).sum(axis=1) == 2).all()
    heights, widths = rows.sum(axis=1), columns.sum(axis=1)
    areas, aspects = heights * widths / 600, heights / 20 / (widths / 30)
    assert 0.015 < areas.min() < 0.03
    assert 0.31 < areas.max() < 0.36
    assert 0.16 < areas.mean() < 0.19  # as many small ones as large ones
    assert abs(np.log(aspects).mean()) < 0.05  # as many high ones as wide ones
    assert np.percentile(aspects, 10) == pytest.approx(0.3**0.8, rel=0.1)
    assert lost.any(axis=0).all()  # anywhere
    assert lost.mean(axis=0)[[0, 0, -1, -1], [0, -1, 0, -1]].std() < 0.02


def test_erasing_comes_after_the_moves_and_leaves_their_draws_alone():
    images = pixels(4, (200, 9, 11, 3))
    for elastic in (0, 1):
        moved = changed(Augmentation(1, 5, 0.1, True, elastic), images)
        erased = changed(Augmentation(1, 5, 0.1, True, elastic, erase=0.5), images)
        same = (erased == moved).all(axis=3)
        assert 0.3 < same.all(axis=(1, 2)).mean() < 0.7
        assert 0.86 < same.mean() < 0.95  # 17.5 % of half of the images are lost


def test_the_seed_decides_and_the_input_is_not_changed():
    images = pixels(1, (20, 6, 7))
    before, augment = images.copy(), Augmentation(2, 10, 0.1, True)
    one, two, other = (changed(augment, images, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(changed(Augmentation(), images), images)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(shift=1.5), "shift is a number of pixels, 0 or more, got 1.5"),
        (dict(shift=-1), "shift is a number of pixels"),
        (dict(rotation=-5), "rotation is from 0 to 180 degrees, got -5"),
        (dict(scale=1), "scale is a share, at least 0 and less than 1, got 1"),
        (dict(elastic=-1), "elastic is a number of pixels, 0 or more, got -1"),
        (dict(erase=1.5), "erase is a share, from 0 to 1, got 1.5"),
    ],
)
def test_refuses_amounts_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**options)


@pytest.mark.parametrize(
    "images, error, message",
    [
        (np.zeros((2, 6, 6)), TypeError, r"expected uint8 \(B, H, W\) or \(B, H, W, C\)"),
        (np.zeros((6, 6), np.uint8), TypeError, r"images are uint8 \(6, 6\); expected"),
        (np.zeros((2, 6, 6, 5), np.uint8), ValueError, "OpenCV warps up to 4 channels, got 5"),
    ],
)
def test_refuses_other_images(images, error, message):
    with pytest.raises(error, match=message):
        Augmentation().apply(images, np.zeros((2, 2, 3)))


@pytest.mark.parametrize("elastic", [0, 1])
def test_the_parts_of_a_batch_are_changed_like_the_whole(elastic):
    images, augment = pixels(2, (9, 6, 7)), Augmentation(2, 10, 0.1, True, elastic, 0.5)
    maps = augment.draw(np.random.default_rng(0), 9, 6, 7)
    parts = [augment.apply(images[a:b], maps[a:b]) for a, b in [(0, 4), (4, 9)]]
    np.testing.assert_array_equal(np.concatenate(parts), augment.apply(images, maps))


def test_one_image_is_changed_as_a_batch_of_one_is():
    augment, rng = Augmentation(2, 10, 0.1, True, 1.5), np.random.default_rng(0)
    for shape in [(7, 11), (7, 11, 3)]:
        image = rng.integers(0, 256, shape, np.uint8)
        changed = augment.changed(image, np.random.default_rng(1))
        maps = augment.draw(np.random.default_rng(1), 1, 7, 11)
        np.testing.assert_array_equal(changed, augment.apply(image[None], maps)[0])
        assert (changed != image).any()
