import threading
import time

import numpy as np
import pytest

from minivit.data.augment import Augmentation
from minivit.data.digits import Split
from minivit.training.batches import ahead, batches


def numbered(count=30):
    """Images that are all of their number, which is their label too."""
    labels = np.arange(count)
    return Split(labels.astype(np.uint8).repeat(24).reshape(count, 4, 6), labels)


def epochs_of(**options):
    options = dict(epochs=2, batch_size=7, seed=0) | options
    steps = list(batches(numbered(), **options))
    return [steps[:5], steps[5:]]


def test_every_image_is_seen_once_an_epoch_in_a_new_order():
    epochs = epochs_of()
    orders = [np.concatenate([batch.labels for batch in epoch]) for epoch in epochs]
    for epoch, order in zip(epochs, orders, strict=True):
        assert [len(batch.labels) for batch in epoch] == [7, 7, 7, 7, 2]
        assert sorted(order) == list(range(30))
        for images, labels, maps, bounds, size in epoch:
            assert maps is None
            assert bounds == [(0, size)] and size == len(labels)
            assert (images.shape, images.dtype) == ((len(labels), 4, 6), np.uint8)
            np.testing.assert_array_equal(images[:, 2, 3], labels)
    assert (orders[0] != orders[1]).any()


@pytest.mark.parametrize("first", [0, 1, 4, 5, 7, 9, 10, 12])
def test_the_batch_of_a_step_is_the_same_wherever_one_begins(first):
    options = dict(epochs=2, batch_size=7, seed=0, augment=Augmentation(shift=1))
    whole = list(batches(numbered(), **options))
    rest = list(batches(numbered(), first=first, **options))
    assert len(rest) == max(0, 10 - first)
    for batch, expected in zip(rest, whole[first:], strict=True):
        for part, same in zip(batch, expected, strict=True):
            np.testing.assert_array_equal(part, same)


def test_draws_anew_in_every_step():
    class Drawn:
        @staticmethod
        def draw(rng, count, height, width):
            assert (height, width) == (4, 6)
            return [rng.bit_generator.seed_seq.entropy] * count

    first, second = epochs_of(seed=3, augment=Drawn)
    for step, batch in enumerate(first + second, 1):
        assert batch.maps == [[3, step]] * len(batch.labels)


@pytest.mark.parametrize("plain_epochs, changed", [(0, 2), (1, 1), (2, 0), (3, 0)])
def test_the_last_epochs_are_plain_if_asked_and_in_the_same_order(plain_epochs, changed):
    changing = Augmentation(shift=1)
    epochs = epochs_of(augment=changing, plain_epochs=plain_epochs)
    for number, (epoch, same) in enumerate(zip(epochs, epochs_of(augment=changing), strict=True)):
        for batch, expected in zip(epoch, same, strict=True):
            np.testing.assert_array_equal(batch.labels, expected.labels)
            np.testing.assert_array_equal(batch.maps, expected.maps if number < changed else None)


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_the_parts_of_all_ranks_make_up_the_batch_and_no_other_image_is_read(ranks):
    options = dict(epochs=1, batch_size=7, seed=0, augment=Augmentation(shift=1), shards=5)
    read = []

    class Watched(np.ndarray):
        def __getitem__(self, places):
            read.append(np.size(places))
            return np.asarray(self)[places]

    images, labels = numbered()
    watched = Split(images.view(Watched), labels)
    whole = list(batches(numbered(), **options))
    slices = [slice(5 * rank // ranks, 5 * (rank + 1) // ranks) for rank in range(ranks)]
    parts = [list(batches(watched, **options, here=here)) for here in slices]
    for batch, *own in zip(whole, *parts, strict=True):
        for name in ("images", "labels", "maps"):
            joined = np.concatenate([getattr(part, name) for part in own])
            np.testing.assert_array_equal(joined, getattr(batch, name))
        assert {part.size for part in own} == {batch.size}
        sizes = [end - start for part in own for start, end in part.bounds]
        assert sizes == [end - start for start, end in batch.bounds]
        assert all(part.bounds[-1][1] == len(part.labels) for part in own if part.bounds)
    assert sum(read) == 30  # the last batch has 2 images: some ranks have none of it


def test_ahead_yields_the_same_items_made_one_ahead_in_another_thread():
    made = []

    def items():
        for number in range(4):
            made.append((number, threading.current_thread()))
            yield number

    seen = []
    for number in ahead(items()):
        seen.append(number)
        limit = time.monotonic() + 10
        while len(made) < min(4, number + 2) and time.monotonic() < limit:
            time.sleep(0.001)
        assert len(made) == min(4, number + 2)
    assert seen == [0, 1, 2, 3]
    assert threading.current_thread() not in {thread for _, thread in made}


def test_ahead_of_nothing_is_nothing_and_errors_come_through():
    assert list(ahead(iter([]))) == []

    def broken():
        yield 1
        raise ValueError("image 7 is torn")

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(ValueError, match="image 7 is torn"):
        next(items)
