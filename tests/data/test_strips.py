import cv2
import numpy as np
import pytest

from minivit.data.digits import Split, load_digits
from minivit.data.scenes import Column
from minivit.data.strips import Strips, answer, plus_sign, written


@pytest.fixture(scope="module")
def digits():
    return load_digits().test


def bars(level=255):
    """A digit for each label: a bar, 16 pixels high and 8 wide, as bright as its label says."""
    images = np.zeros((10, 28, 28), np.uint8)
    for label, image in enumerate(images):
        image[6:22, 10:18] = level - 20 * (9 - label)
    return Split(images, np.arange(10))


def test_a_strip_is_the_same_whenever_it_is_taken_and_no_other_is(digits):
    strips, again = Strips(digits, 20, seed=3), Strips(digits, 20, seed=3)
    for number in (7, 0, 19, 7):
        np.testing.assert_array_equal(strips[number].image, again[number].image)
        assert strips[number].text == again[number].text
    images = {strip.image.tobytes() for strip in [*strips, *Strips(digits, 20, seed=4)]}
    assert len(images) == 40


def test_strips_have_one_to_eight_digits_each_as_often(digits):
    texts = [strip.text for strip in Strips(digits, 400)]
    counts = np.bincount([len(text) for text in texts], minlength=9)
    assert counts[0] == 0 and len(counts) == 9 and counts[1:].min() > 25
    assert set("".join(texts)) == set("0123456789")
    some = {len(text) for _, text in Strips(digits, 50, fewest=3, most=4)}
    assert some == {3, 4}


def test_of_varied_strips_the_long_ones_are_more():
    counts = np.bincount([len(strip.text) for strip in Strips(bars(), 640, varied=True)])
    expected = 10 * np.arange(-1, 16, 2)  # of two numbers of digits, the larger: 1, 3, … 15 of 64
    assert np.abs(counts[1:] - expected[1:]).max() < 45
    assert counts[1] < 30 < 110 < counts[8]


@pytest.mark.parametrize("varied", [False, True])
def test_what_is_written_is_what_the_text_says(varied):
    for image, text in Strips(bars(), 60, varied=varied):
        assert (image.shape, image.dtype) == ((28, 160, 1), np.uint8)
        count, pieces, _, middles = cv2.connectedComponentsWithStats((image > 30).astype(np.uint8))
        if count - 1 != len(text):
            continue  # two touch
        order = 1 + np.argsort(middles[1:, 0])
        for label, piece in zip(map(int, text), order, strict=True):
            brightest = int(image[pieces == piece].max())
            assert brightest == pytest.approx(255 - 20 * (9 - label), abs=2)


def test_most_digits_do_not_touch_and_none_is_cut_off():
    touching, edges = 0, 0
    for image, text in Strips(bars(), 200):
        count = cv2.connectedComponents((image > 30).astype(np.uint8))[0] - 1
        touching += len(text) - count
        edges += bool(image[[0, -1]].any() or image[:, [0, -1]].any())
    assert touching < 0.2 * 4.5 * 200
    assert edges == 0


def places_and_slants(strips):
    """Where the ink of each strip (H, W, 1) of one digit lies, in columns, and how it leans."""
    lefts, slants = [], []
    for image, _ in strips:
        ink = image[:, :, 0].astype(float)
        rows, columns = np.indices(ink.shape)
        lefts.append((ink * columns).sum() / ink.sum())
        y, x = (each - (ink * each).sum() / ink.sum() for each in (rows, columns))
        slants.append((ink * x * y).sum() / (ink * y * y).sum())
    return lefts, slants


def test_strips_lie_anywhere_and_lean_to_both_sides():
    lefts, slants = places_and_slants(Strips(bars(), 200, most=1))
    assert min(lefts) < 20 and max(lefts) > 140
    assert -0.32 < min(slants) < -0.2 and 0.2 < max(slants) < 0.32


def test_digits_of_a_varied_strip_are_those_of_the_other_each_in_another_form():
    usual, varied = (Strips(bars(), 200, most=1, varied=each) for each in (False, True))
    assert [strip.text for strip in usual] == [strip.text for strip in varied]
    (lefts, slants), (moved, forms) = map(places_and_slants, (usual, varied))
    assert np.abs(np.subtract(lefts, moved)).max() < 1  # a digit stays where it is
    more = np.subtract(forms, slants)
    assert -0.5 < more.min() < -0.2 and 0.2 < more.max() < 0.5


def test_a_line_that_is_too_long_is_written_smaller():
    wide = [np.full((20, 40), 255, np.uint8)] * 8
    image = written(wide, np.random.default_rng(0))
    assert image.any() and not image[:, [0, -1]].any()


def test_sums_have_two_numbers_of_two_digits_and_an_answer(digits):
    texts = [strip.text for strip in Strips(digits, 300, sums=True)]
    for text in texts:
        one, sign, other = text[:2], text[2], text[3:]
        assert sign == "+" and 10 <= int(one) <= 99 and 10 <= int(other) <= 99
        assert int(answer(text)) == int(one) + int(other)
    assert {answer(text)[0] for text in texts} == set("123456789")
    assert answer("37+58") == "95"


def test_a_plus_sign_has_two_strokes_that_cross():
    rng = np.random.default_rng(0)
    for _ in range(30):
        sign = plus_sign(rng)
        height, width = sign.shape
        assert 6 <= height <= 20 and 6 <= width <= 20
        row, column = (np.argmax((sign > 60).sum(axis=axis)) for axis in (1, 0))
        assert (sign[row] > 0).mean() > 0.8 and (sign[:, column] > 0).mean() > 0.8
        assert min(row, height - row, column, width - column) > 1 and (sign > 60).mean() < 0.7


def test_a_column_takes_the_place_of_an_array(digits):
    images = Column(Strips(digits, 9), lambda strip: strip.image)
    assert (len(images), images.shape) == (9, (9, 28, 160, 1))
    strips = [Strips(digits, 9), Strips(digits, 9, seed=1), Strips(digits, 8), Strips(bars(), 9)]
    strips += [Strips(digits, 9, most=7), Strips(digits, 9, sums=True), Strips(digits, 9, fewest=2)]
    assert len({each.checksum() for each in strips}) == 7


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(count=0), "count must be an integer, at least 1, got 0"),
        (dict(fewest=2.5), "fewest must be .* got 2.5"),
        (dict(fewest=5, most=4), "from 5 to 4 digits"),
        (dict(most=9), "from 1 to 9 digits; expected the fewer first, and 8 at most"),
        (dict(digits=Split(np.zeros((9, 28, 28), np.uint8), np.arange(9))), "of the digit 9"),
    ],
)
def test_refuses_what_cannot_work(digits, options, message):
    with pytest.raises(ValueError, match=message):
        Strips(**dict(digits=digits, count=3) | options)


def test_there_are_no_more_strips_than_were_said(digits):
    with pytest.raises(IndexError, match="no strip 3, only 0 to 2"):
        Strips(digits, 3)[3]
