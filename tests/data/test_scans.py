import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from minivit.data.images import load_image
from minivit.data.scans import KNOWN, LEAST_ALIKE, likeness, read_digit, scan_digit
from tests.data.idx import mnist

SAMPLES = Path(__file__).parents[2] / "demos" / "samples"


def colour(grey):
    """Grey values (H, W), from 0 to 1, as a picture (H, W, 3)."""
    return np.repeat(np.asarray(grey, np.float32).clip(0, 1)[:, :, None], 3, axis=2)


def page(side=200, height=300, width=300, top=50, left=50):
    """How much ink each pixel of a page has that a seven is drawn on, from 0 to 1."""
    ink = np.zeros((height, width), np.float32)
    digit = cv2.resize(mnist().test.images[0], (side, side)) / 255
    ink[top : top + side, left : left + side] = digit
    return ink


def middle_of_mass(pixels):
    places = np.indices(pixels.shape[:2]).reshape(2, -1)
    return (places * pixels.ravel()).sum(axis=1) / pixels.sum()


def difference(pixels, digit):
    """The mean difference where either has ink, from 0 to 1."""
    ink = np.maximum(pixels, digit) > 0
    return abs(pixels.astype(float) - digit)[ink].mean() / 255


def test_digits_of_mnist_stay_as_they_are():
    for digit in mnist().test.images[:8]:
        pixels, warnings = scan_digit(colour(digit / 255))
        assert (pixels.shape, pixels.dtype, warnings) == ((28, 28, 1), np.uint8, [])
        assert difference(pixels[:, :, 0], digit) < 0.25


def test_a_file_is_read():
    scan, expected = read_digit(SAMPLES / "five-photo.jpg"), load_image(SAMPLES / "five-photo.jpg")
    np.testing.assert_array_equal(scan.pixels, scan_digit(expected).pixels)
    assert scan.warnings == []


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
    pixels, warnings = scan_digit(colour(write(page(*place))))
    assert warnings == []
    assert difference(pixels[:, :, 0], mnist().test.images[0]) < 0.3
    np.testing.assert_allclose(middle_of_mass(pixels), 14, atol=0.6)
    rows, columns = (np.flatnonzero(pixels.max(axis=(axis, 2)) > 127) for axis in (1, 0))
    assert 18 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
    assert pixels.max() == 255


def test_much_ink_is_not_taken_for_paper():
    ink = cv2.dilate(page(260, 300, 300, 20, 20), np.ones((25, 25)))
    pale = scan_digit(colour(0.9 - 0.15 * ink)).pixels
    np.testing.assert_allclose(pale.mean(), scan_digit(colour(1 - ink)).pixels.mean(), atol=2)


def test_red_ink():
    red = np.ones((200, 200, 3), np.float32)
    cv2.line(red, (100, 30), (90, 170), (0.8, 0.1, 0.1), 12)
    pixels, warnings = scan_digit(red)
    assert warnings == []
    assert (pixels.max(axis=1) > 127).sum() == 20


def test_a_fine_line_is_made_as_broad_as_a_pens():
    fine = np.ones((600, 600), np.float32)
    cv2.line(fine, (300, 100), (300, 500), 0, 2)
    assert (scan_digit(colour(fine)).pixels > 127).sum(axis=1).max() >= 2


@pytest.mark.parametrize(
    "dirt, most",
    [
        ((np.s_[5:9, 5:9], np.s_[290:293, 280:286]), 0.05),
        ((np.s_[:, :30],), 0.2),
        ((np.s_[-30:, :],), 0.2),
        ((np.tri(300, 300, -220, bool),), 0.2),
    ],
    ids=["specks", "band on the left", "band at the bottom", "dark corner"],
)
def test_dirt_and_the_dark_edges_of_a_scan_are_left_out(dirt, most):
    paper = 0.95 - 0.85 * page()
    clean = scan_digit(colour(paper)).pixels
    for place in dirt:
        paper[place] = 0.05
    pixels, warnings = scan_digit(colour(paper))
    assert warnings == []
    assert difference(pixels, clean) < most


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 300), (300, 1), (20, 1000), (1000, 8), (2, 999), (900, 700)]
)
@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_warns_of_an_empty_page(shape, grey):
    pixels, warnings = scan_digit(colour(np.full(shape, grey)))
    assert warnings == ["nothing stands out from the background"]
    assert not pixels.any()
    speckled = scan_digit(colour(np.random.default_rng(0).random(shape)))
    assert speckled.pixels.shape == pixels.shape == (28, 28, 1)


def test_warns_of_what_is_not_a_digit():
    cut = page()[:, 120:]
    cut[5:9, 50:54] = 1  # dirt
    pieces, frame, cross = np.zeros((3, 200, 200), np.float32)
    for corner in (20, 90, 160):
        pieces[corner : corner + 20, corner : corner + 20] = 1
    cv2.rectangle(frame, (10, 10), (190, 190), 1, 3)
    cv2.line(cross, (30, 30), (170, 170), 1, 14)
    cv2.line(cross, (30, 170), (170, 30), 1, 14)
    for ink, warning in (
        (cut, "it touches the edge of the picture"),
        (pieces, "it is in 3 pieces, a digit in one or two"),
        (frame, "it fills 10% of its box, a digit at least 12%"),
        (cross, r"the most similar digit of MNIST is only 8\d% like it"),
    ):
        assert re.search(warning, "\n".join(scan_digit(colour(1 - ink)).warnings))
    assert len(scan_digit(colour(1 - cross)).warnings) == 1


def test_warns_of_few_digits_and_of_all_noise():
    digits = mnist().test.images[:300]
    assert sum(bool(scan_digit(colour(digit / 255)).warnings) for digit in digits) <= 10
    for seed in range(10):
        noise = np.random.default_rng(seed).random((60, 80, 3), np.float32)
        assert scan_digit(noise).warnings


def test_likeness_to_the_digits_of_mnist():
    train, test = mnist().train.images, mnist().test.images
    for image in train[[0, KNOWN - 1]]:
        assert abs(likeness(image) - 1) < 1e-6
    others = np.array([likeness(image) for image in test[:100]])
    assert others.max() < 1
    assert (others >= LEAST_ALIKE).mean() >= 0.97
    assert likeness(np.roll(test[0], 1, axis=1)) > LEAST_ALIKE  # a stroke beside another
    assert likeness(np.zeros((28, 28), np.uint8)) == 0
