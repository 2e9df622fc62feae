import numpy as np
import pytest

import minivit
from minivit.study.explorer import chosen, chosen_strips
from minivit.study.figures import mistakes_by_loss
from tests.saved_runs import untrained
from tests.study.explorer.cases import transcriber_of

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (200, 28, 28), np.uint8)


@pytest.fixture
def classifier():
    """Of three classes, each of which it reads in many of the images."""
    classifier = untrained([*"abc"])
    classifier.params["head"]["b"][...] -= classifier.logits(IMAGES).mean(axis=0)
    return classifier


@pytest.fixture
def labels(classifier):
    """Those that the model reads, but for every fifth image."""
    labels = classifier.logits(IMAGES).argmax(axis=1)
    labels[::5] = (labels[::5] + RNG.integers(1, 3, 40)) % 3
    return labels


def losses_of(classifier, labels):
    return [minivit.cross_entropy(classifier.logits(IMAGES[n : n + 1]), labels[n : n + 1])[0]
            for n in range(len(labels))]  # fmt: skip


def test_the_worst_mistakes_come_first(classifier, labels):
    digits = chosen(classifier, IMAGES, labels)
    assert len(digits) == 30
    losses = np.array(losses_of(classifier, labels))
    wrong = range(0, 200, 5)
    worst = sorted(wrong, key=lambda number: -losses[number])[:10]
    assert [digit.name for digit in digits[:10]] == [f"test image {number}" for number in worst]


def test_then_the_classes_take_turns_with_what_is_read_rightly(classifier, labels):
    digits = chosen(classifier, IMAGES, labels)[10:]
    numbers = [int(digit.name.removeprefix("test image ")) for digit in digits]
    assert all(number % 5 for number in numbers)
    assert [labels[number] for number in numbers] == [*range(3)] * 6 + [0, 1]
    for k in range(3):
        of_class = [number for number in range(200) if labels[number] == k and number % 5]
        assert numbers[k::3] == of_class[: len(numbers[k::3])]


def test_a_class_that_has_no_more_is_passed_over(classifier, labels):
    few = np.flatnonzero((labels != 1) | (np.arange(200) < 30))
    left = {k: [n for n in few if labels[n] == k and n % 5] for k in range(3)}
    assert 0 < len(left[1]) < 6
    numbers = [
        few[int(digit.name.split()[-1])] for digit in chosen(classifier, IMAGES[few], labels[few])
    ]
    counts = [sum(labels[n] == k for n in numbers[10:]) for k in range(3)]
    assert counts[1] == len(left[1]) and sum(counts) == 20 and abs(counts[0] - counts[2]) <= 1


def test_a_digit_is_its_image_and_its_label(classifier, labels):
    for digit in chosen(classifier, IMAGES, labels):
        number = int(digit.name.removeprefix("test image "))
        np.testing.assert_array_equal(digit.pixels, IMAGES[number])
        assert digit.label == labels[number] and type(digit.label) is int


def test_what_was_asked_for_comes_before_all_and_only_once(classifier, labels):
    usual = chosen(classifier, IMAGES, labels)
    for first in (5, 199, int(usual[12].name.split()[-1])):
        digits = chosen(classifier, IMAGES, labels, first)
        names = [f"test image {first}", *(digit.name for digit in usual)]
        assert [digit.name for digit in digits] == list(dict.fromkeys(names))[:30]


def test_of_few_images_all_are_there_but_for_more_than_ten_mistakes(classifier, labels):
    right = classifier.logits(IMAGES[:4]).argmax(axis=1)
    assert len(chosen(classifier, IMAGES[:4], right)) == 4
    assert len(chosen(classifier, IMAGES[:20], (labels[:20] + 1) % 3)) <= 20
    wrong = (classifier.logits(IMAGES[:20]).argmax(axis=1) + 1) % 3
    assert len(chosen(classifier, IMAGES[:20], wrong)) == 10


def test_equal_losses_keep_their_order():
    """As if each of 1,000 images were there several times."""
    logits = RNG.integers(0, 3, (1000, 1)) * np.array([[1.0, 0, 0]]) + [[1, 0, 0]]
    worst = mistakes_by_loss(np.ones(1000, int), logits)
    expected = [number for level in (3, 2, 1) for number in np.flatnonzero(logits[:, 0] == level)]
    np.testing.assert_array_equal(worst, expected)


def test_of_strips_those_that_are_not_read_rightly_come_after_the_first():
    transcriber = transcriber_of()
    strips = RNG.integers(0, 256, (30, 4, 24, 1), np.uint8)
    texts = [text for text, _ in transcriber.transcribe(strips)]
    for number in (3, 8, 20):
        texts[number] = "abba" if texts[number] != "abba" else "c"
    digits = chosen_strips(transcriber, strips, texts, first=5)
    names = [f"test strip {number}" for number in (5, 3, 8, 20, 0, 1, 2, 4, 6, 7, 9, 10)]
    assert [digit.name for digit in digits] == names
    assert [digit.label for digit in digits[:3]] == [texts[5], texts[3], texts[8]]
    np.testing.assert_array_equal(digits[1].pixels, strips[3])
    assert len(chosen_strips(transcriber, strips[:4], texts[:4])) == 4
