"""Which of many images are on the page: the worst mistakes, and some of each class."""

import itertools

import numpy as np

from ...backend import device_of
from ...threads import cores, threads
from ..figures import mistakes_by_loss
from .page import Digit

MOST, MISTAKES = 30, 10
MOST_STRIPS = 12


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


def chosen_strips(transcriber, images, texts, first=0):
    """Return 12 Digits at most, of a reader's test strips.

    The strip of number `first` comes before all others; then those that are not read rightly.
    images, texts: (n, H, W, C) uint8, and what is written there
    Errors: those of `Transcriber.transcribe`.
    """
    readings = transcriber.transcribe(images)
    right = [reading.text == text for reading, text in zip(readings, texts, strict=True)]
    numbers = dict.fromkeys([first, *sorted(range(len(texts)), key=right.__getitem__)])
    return [
        Digit(images[number], texts[number], f"test strip {number}")
        for number in itertools.islice(numbers, MOST_STRIPS)
    ]
