"""Labels that do not fit the logits, or are not labels at all."""

import numpy as np

from minivit import cross_entropy
from minivit.training import confusion_matrix, metrics

from . import Row

LOGITS = np.zeros((5, 7))


def loss(labels):
    return cross_entropy(LOGITS, labels)


def counted(labels):
    return metrics(np.asarray(labels), LOGITS, list("abcdefg"))


def matrix(labels):
    return confusion_matrix(np.asarray(labels), np.zeros(len(labels), int), 7)


LABELS = [
    ([0, 1, 2, 3, 7], "label 7 is out of range; 7 classes are numbered 0 to 6", ValueError),
    ([0, 1, -1, 3, 4], "label -1 is out of range", ValueError),
    (np.full(5, 255, np.uint8), "label 255 is out of range", ValueError),
    ([0, 1, 2], r"got \(5, 7\) and \(3,\)", ValueError),
    (np.eye(5), r"got \(5, 7\) and \(5, 5\)", ValueError),
    ([0.0, 1.0, 2.0, 3.0, 4.0], "labels must be integers, got float64", TypeError),
    ([True] * 5, "labels must be integers, got bool", TypeError),
    (["0"] * 5, "labels must be integers, got <U1", TypeError),
    ([None] * 5, "labels must be integers, got object", TypeError),
]
ROWS = [
    Row(str(labels)[:30], ask, lambda place, labels=labels: labels, message, error)
    for labels, message, error in LABELS
    for ask in (loss, counted)
]
ROWS += [
    Row("7", matrix, lambda place: [0, 7], "labels are from 0 to 7; 7 classes are numbered 0 to 6"),
    Row("-1", matrix, lambda place: [0, -1], "labels are from -1 to 0; 7 classes"),
    Row("three names", lambda logits: metrics(np.zeros(5, int), logits, ["a", "b", "c"]),
        lambda place: LOGITS, "metrics: 3 class names for 7 logits each"),
]  # fmt: skip
