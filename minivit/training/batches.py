"""The batches of a training run, prepared ahead of the step that uses them."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np


class Batch(NamedTuple):
    """Raw images (B, H, W) or (B, H, W, C) uint8, labels (B,), and the maps of their augmentation.

    The maps (B, 2, 3) are those that an Augmentation draws; None without one.
    """

    images: np.ndarray
    labels: np.ndarray
    maps: np.ndarray | None


def batches(split, *, epochs, batch_size, seed, augment=None, first=0):
    """Yield the Batch of every step; an epoch sees each image once.

    augment: an Augmentation, which draws the maps; or None
    first:   begin with the batch of that step, which is the same wherever one begins

    The random numbers of a step come from default_rng([seed, step + 1]): at an epoch's first step
    its order of the images, then what `augment` draws. ([seed, 0] would be the stream of seed.)
    """
    count = len(split.labels)
    per_epoch = math.ceil(count / batch_size)
    for step in range(first - first % per_epoch, epochs * per_epoch):
        rng = np.random.default_rng([seed, step + 1])
        start = step % per_epoch * batch_size
        if start == 0:
            order = rng.permutation(count)
        if step < first:
            continue  # only the epoch's order is needed
        chosen = order[start : start + batch_size]
        images = split.images[chosen]
        maps = augment.draw(rng, *images.shape[:3]) if augment else None
        yield Batch(images, split.labels[chosen], maps)


def ahead(items):
    """Yield the items of a generator; a thread makes each while the one before it is used."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item
