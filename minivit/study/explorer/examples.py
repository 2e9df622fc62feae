"""Which of many images are on the page: the worst mistakes, and some of each class."""

import itertools

import numpy as np

from ...backend import device_of
from ...threads import cores, threads
from ..figures import mistakes_by_loss
from .page import Digit

MOST, MISTAKES = 30, 10


def chosen(classifier, images, labels, first=None):
    """Return 30 Digits at most, of a run's test images.

    The 10 images with the largest loss among those that are read wrongly come first; then, of each
    class in turn, one that is read rightly, another one, …

    images, labels: as a Split has them
    first:          number of an image that comes before all others, or None
    Errors: those of `Classifier.logits`.
    """
    with threads(cores() if device_of(classifier.params.flat) == "cpu" else 1) as mapper:
        logits = classifier.logits(images, mapper)
    right = np.flatnonzero(logits.argmax(axis=1) == labels)
    of_classes = [right[labels[right] == k] for k in range(len(classifier.classes))]
    in_turn = [number for turn in itertools.zip_longest(*of_classes) for number in turn]
    numbers = [first, *mistakes_by_loss(labels, logits)[:MISTAKES], *in_turn]
    different = dict.fromkeys(int(number) for number in numbers if number is not None)
    return [
        Digit(images[number], int(labels[number]), f"test image {number}")
        for number in itertools.islice(different, MOST)
    ]
