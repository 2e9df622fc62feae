import cv2
import numpy as np
import pytest

from minivit.data.scans import scan_digit
from tests.data.idx import mnist


def colour(grey):
    """Grey values (H, W), from 0 to 1, as a picture (H, W, 3)."""
    return np.repeat(np.asarray(grey, np.float32).clip(0, 1)[:, :, None], 3, axis=2)


def page(digit, side, height, width, top, left):
    """How much ink is where on a page that a digit is drawn on, from 0 to 1."""
    ink = np.zeros((height, width), np.float32)
    ink[top : top + side, left : left + side] = cv2.resize(digit, (side, side)) / 255
    return ink


def middle_of_mass(pixels):
    places = np.indices(pixels.shape).reshape(2, -1)
    return (places * pixels.ravel()).sum(axis=1) / pixels.sum()


def difference(pixels, digit):
    """The mean difference at the pixels that either has ink at, from 0 to 1."""
    ink = np.maximum(pixels, digit) > 0
    return abs(pixels.astype(float) - digit)[ink].mean() / 255


@pytest.mark.parametrize("number", range(8))
def test_a_digit_of_mnist_stays_as_it_is(number):
    digit = mnist().test.images[number]
    pixels, doubts = scan_digit(colour(digit / 255))
    assert (pixels.shape, pixels.dtype, doubts) == ((28, 28), np.uint8, [])
    assert difference(pixels, digit) < 0.25


@pytest.mark.parametrize("place", [(200, 400, 300, 10, 90), (90, 130, 500, 35, 395)])
@pytest.mark.parametrize(
    "write",
    [
        lambda ink: 1 - 0.9 * ink,
        lambda ink: 0.1 + 0.8 * ink,
        lambda ink: 0.5 - 0.15 * ink,  # pale pencil on grey
        lambda ink: (0.9 - 0.6 * np.linspace(0, 1, ink.shape[1])) * (1 - 0.7 * ink),  # lamp left
        lambda ink: 0.8 - 0.6 * ink + np.random.default_rng(0).normal(0, 0.03, ink.shape),
    ],
    ids=["dark on light", "light on dark", "pale", "uneven light", "noise"],
)
def test_a_photo_is_drawn_as_mnist_draws(place, write):
    digit = mnist().test.images[0]
    pixels, doubts = scan_digit(colour(write(page(digit, *place))))
    assert doubts == []
    assert difference(pixels, digit) < 0.3
    np.testing.assert_allclose(middle_of_mass(pixels), 14, atol=0.6)
    rows, columns = (np.flatnonzero(pixels.max(axis=axis) > 127) for axis in (1, 0))
    assert 18 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
    assert pixels.max() == 255


def test_much_ink_is_not_taken_for_paper():
    ink = cv2.dilate(page(mnist().test.images[0], 260, 300, 300, 20, 20), np.ones((25, 25)))
    pale = scan_digit(colour(0.9 - 0.15 * ink)).pixels
    np.testing.assert_allclose(pale.mean(), scan_digit(colour(1 - ink)).pixels.mean(), atol=2)


def test_a_colour_that_is_as_bright_as_none_other_is_ink():
    red = np.ones((200, 200, 3), np.float32)
    cv2.line(red, (100, 30), (90, 170), (0.8, 0.1, 0.1), 12)
    pixels, doubts = scan_digit(red)
    assert doubts == []
    assert (pixels.max(axis=1) > 127).sum() == 20


def test_a_fine_line_is_made_as_broad_as_a_pens():
    fine = np.ones((600, 600), np.float32)
    cv2.line(fine, (300, 100), (300, 500), 0, 2)
    assert (scan_digit(colour(fine)).pixels > 127).sum(axis=1).max() >= 2


def test_dirt_is_left_out():
    ink = page(mnist().test.images[0], 200, 300, 300, 50, 50)
    clean = scan_digit(colour(1 - ink)).pixels
    ink[5:9, 5:9] = ink[290:293, 280:286] = 1
    pixels, doubts = scan_digit(colour(1 - ink))
    assert doubts == []
    np.testing.assert_allclose(pixels, clean, atol=40)


@pytest.mark.parametrize(
    "band",
    [np.s_[:, :60], np.s_[-60:, :], np.tri(800, 600, -600, bool)],
    ids=["left", "bottom", "corner"],
)
def test_a_dark_band_at_the_edge_of_a_scan_is_left_out(band):
    paper = 0.95 - 0.85 * page(mnist().test.images[0], 200, 800, 600, 300, 250)
    clean = scan_digit(colour(paper)).pixels
    paper[band] = 0.05
    pixels, doubts = scan_digit(colour(paper))
    assert doubts == []
    assert difference(pixels, clean) < 0.2


def test_a_digit_at_the_edge_is_doubted():
    ink = page(mnist().test.images[0], 200, 300, 300, 50, 50)[:, 120:]
    ink[5:9, 50:54] = 1  # dirt
    assert scan_digit(colour(1 - ink)).doubts == ["it touches the edge of the picture"]


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 300), (300, 1), (20, 1000), (1000, 8), (2, 999), (900, 700)]
)
@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_an_empty_page_is_doubted(shape, grey):
    pixels, doubts = scan_digit(colour(np.full(shape, grey)))
    assert doubts == ["nothing stands out from the background"]
    assert not pixels.any()


def test_what_is_no_digit_is_doubted_by_rule():
    pieces = np.ones((200, 200), np.float32)
    for corner in (20, 90, 160):
        pieces[corner : corner + 20, corner : corner + 20] = 0
    assert scan_digit(colour(pieces)).doubts[0] == "it is in 3 pieces, a digit in one or two"
    frame = np.ones((200, 200), np.float32)
    cv2.rectangle(frame, (10, 10), (190, 190), 0, 3)
    assert scan_digit(colour(frame)).doubts == ["it fills 10% of its box, a digit at least 12%"]


def test_the_rule_doubts_few_digits_and_all_noise():
    digits = mnist().test.images[:300]
    assert sum(bool(scan_digit(colour(digit / 255)).doubts) for digit in digits) <= 4
    for seed in range(10):
        noise = np.random.default_rng(seed).random((60, 80, 3), np.float32)
        assert scan_digit(noise).doubts


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (1, 400), (3, 3), (2000, 3)])
def test_odd_sizes_are_no_trouble(shape):
    scan = scan_digit(colour(np.random.default_rng(0).random(shape)))
    assert scan.pixels.shape == (28, 28)
