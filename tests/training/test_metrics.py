import json

import numpy as np
import pytest

import minivit
from minivit.training import metrics
from minivit.training.metrics import confusion_matrix, precision_and_recall, top_k_accuracy

# Six images of three classes; class c is never predicted, class d never seen.
NAMES = ["a", "b", "c", "d"]
LABELS = np.array([0, 0, 0, 1, 1, 2])
LOGITS = np.array(
    [
        [9, 1, 2, 3],  # a: right
        [9, 1, 2, 3],  # a: right
        [1, 9, 2, 3],  # a, predicted b: fourth
        [1, 9, 2, 3],  # b: right
        [9, 8, 2, 3],  # b, predicted a: second
        [1, 2, 8, 9],  # c, predicted d: second
    ],
    np.float32,
)
CONFUSION = [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_confusion_matrix():
    counts = confusion_matrix(LABELS, LOGITS.argmax(axis=1), 4)
    np.testing.assert_array_equal(counts, CONFUSION)


@pytest.mark.parametrize("k, share", [(1, 3 / 6), (2, 5 / 6), (3, 5 / 6), (4, 1)])
def test_top_k(k, share):
    assert top_k_accuracy(LABELS, LOGITS, k) == pytest.approx(share)


def test_of_equal_logits_the_first_is_predicted_as_by_argmax():
    logits = np.random.default_rng(0).integers(0, 3, (50, 100)).astype(np.float32)
    for label in range(100):
        labels = np.full(50, label)
        predicted = float((logits.argmax(axis=1) == label).mean())
        assert top_k_accuracy(labels, logits, 1) == predicted
    logits = np.zeros((4, 3), np.float32)
    assert [top_k_accuracy(np.full(4, label), logits, 1) for label in range(3)] == [1, 0, 0]
    assert [top_k_accuracy(np.full(4, label), logits, 2) for label in range(3)] == [1, 1, 0]


@pytest.mark.parametrize("k", [0, 5])
def test_refuses_more_guesses_than_classes(k):
    with pytest.raises(ValueError, match=f"k is from 1 to 4 classes, got {k}"):
        top_k_accuracy(LABELS, LOGITS, k)


def test_precision_and_recall():
    precision, recall = precision_and_recall(np.array(CONFUSION))
    np.testing.assert_allclose(precision, [2 / 3, 1 / 2, np.nan, 0])
    np.testing.assert_allclose(recall, [2 / 3, 1 / 2, 0, np.nan])


def test_all_of_them_as_json():
    report = metrics(LABELS, LOGITS, NAMES)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    loss, _ = minivit.cross_entropy(LOGITS, LABELS)
    assert report["loss"] == pytest.approx(loss)
    assert (report["accuracy"], report["k"], report["top_k_accuracy"]) == (3 / 6, 3, 5 / 6)
    assert report["confusion_matrix"] == CONFUSION
    assert report["classes"]["a"] == dict(images=3, precision=2 / 3, recall=2 / 3)
    assert report["classes"]["c"] == dict(images=1, precision=None, recall=0)
    assert report["classes"]["d"] == dict(images=0, precision=0, recall=None)


def test_two_classes_have_no_top_three():
    report = metrics(np.array([0, 1]), np.eye(2, dtype=np.float32), ["no", "yes"])
    assert (report["k"], report["top_k_accuracy"]) == (2, 1)
