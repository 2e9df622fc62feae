import numpy as np

from minivit.study import figures
from minivit.study.boxes_figure import (
    GREEN,
    RED,
    iou,
    matched,
    most_confident,
    sheet,
    side_figure,
    side_gradients,
)
from tests.test_finder import untrained

OBJECTS = np.array([[2, 3, 4, 13, 14], [0, 20, 2, 30, 12.0]])


def test_iou_of_boxes_that_one_can_count():
    assert iou(np.array([0, 0, 2, 2]), np.array([1, 0, 3, 2])) == 1 / 3
    assert iou(np.array([0, 0, 2, 2]), np.array([5, 5, 6, 6])) == 0


def test_an_object_is_found_once_by_its_class_and_place():
    detections = np.array([[2, 3, 4, 13, 13, 0.9], [2, 3, 4, 13, 14, 0.8], [1, 20, 2, 30, 12, 0.7]])
    right, missed = matched(detections, OBJECTS)
    assert right == [True, False, False]
    assert missed.tolist() == [OBJECTS[1].tolist()]
    assert matched(detections[:0], OBJECTS)[1].tolist() == OBJECTS.tolist()
    assert matched(detections, OBJECTS[:0])[0] == [False] * 3


def test_a_sheet_says_what_is_right_wrong_and_missed():
    images = np.zeros((2, 24, 36, 1), np.uint8)
    detections = [np.array([[2, 3, 4, 13, 13, 0.93], [1, 1, 1, 9, 9, 0.3]]), np.empty((0, 6))]
    figure = sheet(images, detections, ["a", "b", "c"], [OBJECTS, OBJECTS[:0]])
    first, second = figure.axes
    assert [text.get_text() for text in first.texts] == ["c 93%"]
    styles = [(box.get_linestyle(), box.get_x()) for box in first.patches]
    assert styles == [("solid", 3.0), (":", 20.0)]
    colours = [box.get_edgecolor() for box in first.patches]
    assert colours == [rgba(GREEN), rgba(RED)]
    assert not second.patches
    assert figures.png(figure)[:4] == b"\x89PNG"


def rgba(colour):
    from matplotlib.colors import to_rgba

    return to_rgba(colour)


def test_the_gradients_of_sides_say_how_far_a_brighter_pixel_moves_them():
    finder = untrained()
    image = np.random.default_rng(5).integers(0, 256, (24, 36, 1), np.uint8)
    gradients = side_gradients(finder, image, 4)
    x = finder.normalize(image[None]).astype(np.float64)
    params = finder.params.astype(np.float64)
    step = 1e-6
    for place in ((3, 4), (14, 20)):
        moved = x.copy()
        moved[0][place] += step
        sides = [finder.model.forward(params, each)[0][0, 4, -4:] for each in (x, moved)]
        slopes = (sides[1] - sides[0]) / step
        np.testing.assert_allclose(gradients[(slice(None), *place)][:, 0], slopes, rtol=1e-3)


def test_the_surest_patch_is_that_of_the_first_detection():
    finder = untrained()
    image = np.random.default_rng(5).integers(0, 256, (24, 36, 1), np.uint8)
    patch, label, box, confidence = most_confident(finder, image)
    first = finder.find(image[None])[0][0]
    assert (label, confidence) == (first[0], first[5])
    np.testing.assert_allclose(box.clip(0, [36, 24, 36, 24]), first[1:5])
    titles = [axes.get_title() for axes in side_figure(finder, image).axes]
    assert titles == [
        f"{finder.classes[label]}, {confidence:.0%} sure",
        *(f"the {side} side" for side in ("left", "top", "right", "bottom")),
    ]
    assert 0 <= patch < 6
