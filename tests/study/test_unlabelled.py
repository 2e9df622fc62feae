import numpy as np
import pytest

from minivit.data.normalize import Normalize
from minivit.layers.patches import cut_patches
from minivit.losses.reconstruction import target_of
from minivit.study.figures import strips
from minivit.study.unlabelled import GREY, assembled, pictures, raw, strip
from tests.test_pretrainer import images, untrained


def test_no_two_patches_come_to_one_place_and_the_surest_comes_first():
    logits = np.full((2, 3, 4), -5.0)
    logits[0, :, 2] = [1, 9, 3]  # all three want place 2
    logits[0, 2, 0] = 2
    logits[1, :, 3] = 9  # which is known
    logits[1, 1, 1] = 1
    found = assembled(logits, known=np.array([[3], [3]]))
    assert found[0].tolist() == [1, 2, 0]
    assert found[1, 1] == 1
    assert sorted(found[1]) == [0, 1, 2]


def perfect(pretrainer, answer):
    """A pretrainer that gives this answer."""
    real = pretrainer.answer
    pretrainer.answer = lambda pixels, places: (answer, real(pixels, places)[1])
    return pretrainer


def test_a_jigsaw_that_is_put_right_is_the_image():
    pretrainer, pixels = untrained("permutation"), images(5).images
    model = pretrainer.model
    places = model.draw(np.random.default_rng(0), 5)
    logits = np.eye(6)[places[:, : model.asked]]
    given, made = pictures(perfect(pretrainer, logits), pixels, places)
    np.testing.assert_array_equal(made, pixels)
    assert given.shape == pixels.shape
    before = cut_patches(pixels[..., None], 2)
    after = cut_patches(given[..., None], 2)
    for b in range(5):
        np.testing.assert_array_equal(after[b], before[b, places[b] % 6])


def test_what_is_painted_stands_around_what_was_seen():
    pretrainer, pixels = untrained("masked"), images(5).images
    places = pretrainer.model.draw(np.random.default_rng(0), 5)
    patches = cut_patches(pretrainer.normalize(pixels), 2)
    given, made = pictures(perfect(pretrainer, target_of(patches)), pixels, places)
    assert abs(made.astype(int) - pixels).max() <= 1  # rounding
    seen = cut_patches(given[..., None], 2)
    for b in range(5):
        for n in range(6):
            if n in places[b]:
                np.testing.assert_array_equal(seen[b, n], cut_patches(pixels[..., None], 2)[b, n])
            else:
                assert (seen[b, n] == GREY).all()


@pytest.mark.parametrize("objective", ["masked", "permutation"])
def test_colours_stay_colours(objective):
    pretrainer = untrained(objective, channels=3)
    pretrainer.normalize = Normalize([0.3, 0.4, 0.5], [0.2, 0.3, 0.4])
    pixels = np.random.default_rng(1).integers(0, 256, (5, 4, 6, 3)).astype(np.uint8)
    places = pretrainer.model.draw(np.random.default_rng(0), 5)
    for each in pictures(pretrainer, pixels, places):
        assert (each.shape, each.dtype) == (pixels.shape, np.uint8)
    patches = cut_patches(pretrainer.normalize(pixels), 2)
    np.testing.assert_array_equal(raw(pretrainer.normalize, patches, 3), cut_patches(pixels, 2))


def test_a_strip_has_the_images_side_by_side_and_the_sheet_a_row_for_each():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    row = strip(pixels)
    assert row.shape == (4, 8)
    np.testing.assert_array_equal(row[:, :3], pixels[0])
    np.testing.assert_array_equal(row[:, 4:7], pixels[1])
    assert (row[:, [3, 7]] == 255).all()
    figure = strips({"image": row, "epoch 1": row + 1}, "a title")
    assert [axes.get_ylabel() for axes in figure.axes] == ["image", "epoch 1"]
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), row + 1)
