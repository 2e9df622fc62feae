import cv2
import numpy as np

from minivit.data.likeness import COUNT, LEAST, likeness
from tests.data.idx import mnist


def test_digits_are_alike_and_known_ones_are_the_same():
    train, test = mnist().train.images, mnist().test.images
    for image in train[[0, COUNT - 1]]:
        assert abs(likeness(image) - 1) < 1e-6
    found = np.array([likeness(image) for image in test[:100]])
    assert found.max() < 1
    assert (found >= LEAST).mean() >= 0.97
    assert likeness(np.roll(test[0], 1, axis=1)) > LEAST  # a stroke beside another


def test_what_is_no_digit_is_not():
    cross, dots = np.zeros((2, 28, 28), np.uint8)
    cv2.line(cross, (5, 5), (22, 22), 255, 2)
    cv2.line(cross, (5, 22), (22, 5), 255, 2)
    dots[4:24:6, 4:24:6] = 255
    assert likeness(cross) < LEAST
    assert likeness(dots) < LEAST
    assert likeness(np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)) < LEAST
    assert likeness(np.zeros((28, 28), np.uint8)) == 0
