import sys

import numpy as np
import pytest

from minivit.training.average_precision import NAMES, average_precision

SMALL, LARGE = [0, 0, 0, 20, 20], [1, 0, 0, 100, 100]


def sure(*objects, confidence=0.9):
    return np.array([[*each, confidence] for each in objects], float).reshape(-1, 6)


@pytest.fixture(autouse=True)
def coco():
    return pytest.importorskip("pycocotools")


def test_all_found_is_one_and_nothing_found_is_zero(capsys):
    objects = [np.array([SMALL, LARGE], float), np.empty((0, 5))]
    best = average_precision(objects, [sure(SMALL, LARGE), sure()], 2)
    assert list(best) == list(NAMES)
    assert best == pytest.approx(dict.fromkeys(NAMES, 1) | {"map_medium": None})
    worst = average_precision(objects, [sure(), sure()], 2)
    assert worst["map"] == worst["map50"] == 0
    assert capsys.readouterr().out == ""


def test_a_box_that_is_a_bit_off_counts_up_to_its_iou():
    objects, off = [np.array([SMALL], float)], [0, 0, 0, 20, 14.5]  # IoU 0.725
    precision = average_precision(objects, [sure(off)], 2)
    assert precision["map50"] == pytest.approx(1)
    assert precision["map75"] == 0
    assert precision["map"] == pytest.approx(0.5)  # right at 0.5, 0.55, 0.6, 0.65 and 0.7


def test_a_wrong_class_and_a_second_box_are_no_find():
    objects = [np.array([SMALL], float)]
    assert average_precision(objects, [sure([1, *SMALL[1:]])], 2)["map"] == 0
    doubled = np.concatenate([sure(SMALL, confidence=0.8), sure(SMALL)])
    assert average_precision(objects, [doubled], 2)["map"] == pytest.approx(1)  # found first
    astray = np.concatenate([sure(SMALL, confidence=0.8), sure([0, 50, 50, 70, 70])])
    assert average_precision(objects, [astray], 2)["map"] == pytest.approx(0.5)


def test_the_iou_of_boxes_is_that_of_pycocotools(coco):
    from pycocotools import mask

    from minivit.losses import giou
    from minivit.study.boxes_figure import iou

    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 9, (2, 30, 2))
    boxes, truth = np.concatenate([corners, corners + rng.uniform(1, 9, corners.shape)], axis=-1)
    as_coco = [
        np.concatenate([each[:, :2], each[:, 2:] - each[:, :2]], axis=1) for each in (boxes, truth)
    ]
    expected = mask.iou(*as_coco, [0] * 30).diagonal()
    np.testing.assert_allclose([iou(*pair) for pair in zip(boxes, truth, strict=True)], expected)
    low, high = np.minimum(boxes[:, :2], truth[:, :2]), np.maximum(boxes[:, 2:], truth[:, 2:])
    areas = sum((each[:, 2:] - each[:, :2]).prod(axis=1) for each in (boxes, truth))
    union, hull = areas / (1 + expected), (high - low).prod(axis=1)
    np.testing.assert_allclose(giou(boxes, truth)[0], expected - (hull - union) / hull)


def test_says_what_is_missing(monkeypatch):
    with pytest.raises(ValueError, match="there is no object in any image"):
        average_precision([np.empty((0, 5))], [sure()], 2)
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(ImportError, match=r"mAP needs pycocotools.*minivit\[detect\]"):
        average_precision([np.array([SMALL])], [sure()], 2)
