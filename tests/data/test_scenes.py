import numpy as np
import pytest

from minivit.data.digits import Split, load_digits
from minivit.data.scenes import Column, Scenes, shared


@pytest.fixture(scope="module")
def digits():
    return load_digits().test


def bright(box, image):
    left, top, right, bottom = map(int, box)
    return image[top:bottom, left:right, 0]


def test_a_scene_is_the_same_whenever_it_is_taken_and_no_other_is(digits):
    scenes, again = Scenes(digits, 20, seed=3), Scenes(digits, 20, seed=3)
    for number in (7, 0, 19, 7):
        np.testing.assert_array_equal(scenes[number].image, again[number].image)
        np.testing.assert_array_equal(scenes[number].objects, again[number].objects)
    images = {scene.image.tobytes() for scene in [*scenes, *Scenes(digits, 20, seed=4)]}
    assert len(images) == 40


def test_digits_are_of_all_sizes_and_numbers_and_lie_where_the_boxes_say(digits):
    scenes = Scenes(digits, 200, size=(96, 120), fewest=1, most=6)
    counts, longer = [], []
    for image, objects in scenes:
        assert (image.shape, image.dtype) == ((96, 120, 1), np.uint8)
        assert objects.dtype == np.float32
        counts.append(len(objects))
        covered = np.zeros((96, 120), bool)
        for _, *box in objects:
            left, top, right, bottom = map(int, box)
            assert 0 <= left < right <= 120 and 0 <= top < bottom <= 96
            longer.append(max(right - left, bottom - top))
            covered[top:bottom, left:right] = True
        assert not image[~covered].any()
    assert set(counts) == {1, 2, 3, 4, 5, 6}
    assert set(range(16, 49)) >= set(longer) and {16, 17, 47, 48} & set(longer)


def test_a_box_is_that_of_the_ink(digits):
    for image, objects in Scenes(digits, 50, most=1):
        ((_, left, top, right, bottom),) = objects
        rows, columns = np.flatnonzero(image.any(axis=(1, 2))), np.flatnonzero(image.any(axis=0))
        assert [columns[0], rows[0]] == pytest.approx([left, top], abs=1)  # faint ink, averaged
        assert [columns[-1] + 1, rows[-1] + 1] == pytest.approx([right, bottom], abs=1)


def test_labels_are_those_of_the_digits():
    images = np.zeros((3, 28, 28), np.uint8)
    for level, image in enumerate(images, 1):
        image[4:20, 8:16] = 80 * level
    for image, objects in Scenes(Split(images, np.array([5, 6, 7])), 30, overlap=0):
        for label, *box in objects:
            assert (bright(box, image) == 80 * (label - 4)).all()


@pytest.mark.parametrize("overlap", [0, 0.1, 0.5])
def test_no_more_of_a_digit_is_covered_than_was_said(digits, overlap):
    largest = 0
    for _, objects in Scenes(digits, 150, most=5, overlap=overlap):
        for place, (_, *box) in enumerate(objects):
            largest = max([largest, *(shared(box, other[1:]) for other in objects[:place])])
    assert 0.7 * overlap <= largest <= overlap


def test_shared_is_the_part_of_the_smaller_box():
    assert shared([0, 0, 4, 4], [2, 2, 4, 6]) == 0.5
    assert shared([2, 2, 4, 6], [0, 0, 4, 4]) == 0.5
    assert shared([0, 0, 4, 4], [1, 1, 2, 2]) == 1
    assert shared([0, 0, 4, 4], [4, 0, 8, 4]) == shared([0, 0, 1, 1], [5, 5, 6, 6]) == 0


def test_a_column_is_like_an_array_of_one_part(digits):
    scenes = Scenes(digits, 9)
    column = Column(scenes, lambda scene: scene.image)
    assert (len(column), column.shape, column.ndim) == (9, (9, 96, 96, 1), 4)
    expected = np.stack([scene.image for scene in scenes])
    for chosen in ([5, 2], slice(1, 8, 3), slice(None), np.array([0])):
        np.testing.assert_array_equal(column[chosen], expected[chosen])
    np.testing.assert_array_equal(column[4], expected[4])
    assert column.checksum == Column(Scenes(digits, 9), lambda scene: scene.image).checksum
    others = [Scenes(digits, 9, seed=1), Scenes(digits, 8), Scenes(digits, 9, overlap=0.2)]
    others.append(Scenes(Split(255 - digits.images, digits.labels), 9))
    assert len({column.checksum, *(other.checksum() for other in others)}) == 5


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(count=0), "count must be an integer, at least 1, got 0"),
        (dict(size=(96, -1)), "width must be .* got -1"),
        (dict(most=2.5), "most must be .* got 2.5"),
        (dict(fewest=5), "from 5 to 4 digits"),
        (dict(sides=(20, 97)), "digits of 20 to 97 pixels in scenes of 96 x 96"),
        (dict(sides=(20, 10)), "expected the smaller first"),
        (dict(overlap=1), "less than 1, got 1"),
        (dict(overlap=float("nan")), "got nan"),
    ],
)
def test_refuses_what_cannot_work(digits, options, message):
    with pytest.raises(ValueError, match=message):
        Scenes(**dict(digits=digits, count=3) | options)


def test_says_if_no_place_is_found(digits):
    scenes = Scenes(digits, 3, size=20, sides=(18, 20), fewest=6, most=6, overlap=0)
    with pytest.raises(ValueError, match="6 digits of 18 to 20 pixels find no place in 20 x 20"):
        scenes[0]
    with pytest.raises(IndexError, match="no scene 3, only 0 to 2"):
        scenes[3]
