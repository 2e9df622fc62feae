import json

import numpy as np
import pytest

import minivit
from minivit.data.digits import Split
from minivit.data.normalize import Normalize
from minivit.finder import Finder, detections
from minivit.losses import detection
from minivit.models import Detector
from tests.numeric import relative_error

SIZES = dict(image_size=(24, 36), patch_size=12, channels=1, dim=8, depth=1, heads=2, mlp_dim=8)


def untrained(classes=("0", "1", "2"), **changes):
    model = Detector(**SIZES | dict(classes=len(classes)) | changes)
    params = minivit.Params(model.init(np.random.default_rng(0)))
    rng = np.random.default_rng(1)
    params["head"]["w"][...] = rng.standard_normal(params["head"]["w"].shape) / 4
    return Finder(model, params, Normalize(0.1, 0.3), classes)


def answer(*rows, K=3, N=6):
    """An answer (N, K + 5) that is sure of nothing but (patch, class, probability, box)."""
    scores, boxes = np.full((N, K + 1), -30.0), np.tile([0.0, 0, 1, 1], (N, 1))
    scores[:, K] = 0
    for patch, label, probability, box in rows:
        scores[patch, label], scores[patch, K] = np.log(probability), np.log(1 - probability)
        boxes[patch] = box
    return np.concatenate([scores, boxes], axis=1)


def found(*rows, **options):
    return detections(answer(*rows)[None], (24, 36), **options)[0]


def test_detections_are_sorted_by_confidence():
    rows = found((1, 2, 0.6, [13, 1, 20, 9]), (4, 0, 0.9, [12, 14, 22, 23]), (0, 1, 0.005, [0] * 4))
    np.testing.assert_allclose(rows, [[0, 12, 14, 22, 23, 0.9], [2, 13, 1, 20, 9, 0.6]], rtol=1e-9)
    assert len(found((1, 2, 0.6, [13, 1, 20, 9]), least=0.7)) == 0
    assert found().shape == (0, 6)


def test_of_two_boxes_of_an_object_only_the_surer_stays():
    box, almost, half = [0, 0, 10, 10], [1, 0, 11, 10], [4, 0, 14, 10]
    assert len(found((0, 1, 0.8, box), (1, 1, 0.7, almost))) == 1
    assert found((0, 1, 0.6, box), (1, 1, 0.7, almost))[0, 5] == pytest.approx(0.7)
    assert len(found((0, 1, 0.8, box), (1, 1, 0.7, half))) == 2  # IoU 6 / 14
    assert len(found((0, 1, 0.8, box), (1, 2, 0.7, almost))) == 2  # of another class


def test_boxes_end_at_the_edge_of_the_image():
    assert found((5, 0, 0.9, [30, 20, 50, 29]))[0, 1:5].tolist() == [30, 20, 36, 24]


def test_what_a_window_cuts_does_not_count_but_at_the_edge_of_the_picture():
    finder = untrained()
    box = {}

    def find(views, least):
        return [np.array([[1, *box["here"], 0.9]]) for _ in views]

    finder.find = find
    picture = np.zeros((48, 36, 1), np.uint8)  # three windows, at rows 0, 12 and 24
    box["here"] = [5, 4, 15, 20]
    rows = finder.find_in_windows(picture)
    assert sorted(rows[:, 2]) == [4, 16, 28]
    box["here"] = [5, 0, 15, 20]  # at the top of each window
    assert finder.find_in_windows(picture)[:, 2].tolist() == [0]
    box["here"] = [5, 9, 15, 24]  # at the bottom
    assert finder.find_in_windows(picture)[:, 4].tolist() == [48]
    box["here"] = [0, 3, 36, 20]  # from edge to edge of the picture, and of each window
    assert len(finder.find_in_windows(picture)) == 3


def test_two_windows_find_an_object_once():
    finder = untrained()
    finder.find = lambda views, least: [
        np.array([[label, 5, 14 - row, 15, 24 - row, sure]])
        for label, row, sure in ((1, 0, 0.8), (2, 12, 0.9))
    ]
    rows = finder.find_in_windows(np.zeros((36, 36, 1), np.uint8))
    assert rows.tolist() == [[2, 5, 14, 15, 24, 0.9]]


def test_two_classes_of_a_patch_are_two_detections():
    two = answer((2, 0, 0.5, [25, 1, 35, 9]))
    two[2, :4] = np.log([0.5, 0.3, 1e-9, 0.2])
    rows = detections(two[None], (24, 36))[0]
    assert rows[:, 0].tolist() == [0, 1] and rows[:, 5] == pytest.approx([0.5, 0.3])


def test_grade_counts_the_objects_that_are_named():
    finder = untrained()
    objects = [[[0, 1, 1, 9, 9], [2, 13, 1, 20, 9]], [], [[1, 25, 13, 35, 22]]]
    targets = np.stack([finder.model.targets(each) for each in objects])
    wrong = answer((0, 0, 0.9, [1, 1, 9, 9]), (1, 1, 0.9, [1, 1, 9, 9]))
    answers = np.stack([wrong, answer(), answer((5, 1, 0.4, [1, 1, 2, 2]))])
    loss, danswers, right, asked = finder.model.grade(answers, None, targets)
    assert (right, asked) == (1, 3)
    assert loss == detection(answers, targets)[0]
    assert relative_error(danswers, detection(answers, targets)[1]) == 0


def test_a_saved_finder_finds_the_same(tmp_path):
    finder = untrained()
    images = np.random.default_rng(2).integers(0, 256, (3, 24, 36), np.uint8)
    finder.save(tmp_path)
    again = Finder.load(tmp_path)
    assert repr(again.model) == repr(finder.model) and again.classes == ["0", "1", "2"]
    for one, other in zip(finder.find(images), again.find(images), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(finder.find(images)[0]) > 0
    assert finder.find([]) == []


def test_what_is_no_detector_is_refused_and_a_classifier_refuses_one(tmp_path):
    untrained().save(tmp_path)
    with pytest.raises(ValueError, match="it is of the kind Detector; expected ViT"):
        minivit.Classifier.load(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["kind"]
    (tmp_path / "checksums.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="it is of the kind ViT; expected Detector"):
        Finder.load(tmp_path)


def test_evaluate_is_the_loss_and_the_share_of_objects_that_are_named():
    finder = untrained()
    images = np.random.default_rng(3).integers(0, 256, (5, 24, 36), np.uint8)
    targets = np.stack([finder.model.targets([[1, 2, 2, 9, 9]])] * 5)
    loss, accuracy, answers = finder.evaluate(Split(images, targets))
    assert answers.shape == (5, 6, 8)
    assert loss == pytest.approx(float(detection(answers, targets)[0]))
    named = answers[:, 0, :4].argmax(axis=-1) == 1
    assert accuracy == named.mean()


def test_numbers_that_are_not_finite_are_refused():
    finder = untrained()
    finder.params["head"]["b"][-1] = 1e4  # whose exp is infinite
    with pytest.raises(FloatingPointError, match="the model's answer is not finite"):
        finder.find(np.zeros((1, 24, 36), np.uint8))
