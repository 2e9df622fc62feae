"""The batches of a training run, prepared ahead of the step that uses them."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from .step import cut, shards_of


class Batch(NamedTuple):
    """The shards of a batch that are worked on here: all of them, or those of one rank (mpi.py).

    images, labels: raw images (b, H, W) or (b, H, W, C) uint8, and their labels (b,)
    maps:   (b, 2, …) of their augmentation, as an Augmentation draws them; None leaves them plain
    bounds: where each shard starts and ends in them
    size:   B, how many images the whole batch has
    """

    images: np.ndarray
    labels: np.ndarray
    maps: np.ndarray | None
    bounds: list[tuple[int, int]]
    size: int


def batches(
    split, *, epochs, batch_size, seed, augment=None, plain_epochs=0, first=0, shards=1,
    here=slice(None),
):  # fmt: skip
    """Yield the Batch of every step; an epoch sees each image once.

    augment: an Augmentation, or None; it draws the maps, but none in the last `plain_epochs`
    first:   begin with the batch of that step, which is the same wherever one begins
    shards:  how many a batch is cut into
    here:    which of them are worked on here; no image of another is read

    The random numbers of a step come from default_rng([seed, step + 1]): at an epoch's first step
    its order of the images, then what `augment` draws. ([seed, 0] would be the stream of seed.)
    """
    count = len(split.labels)
    per_epoch = math.ceil(count / batch_size)
    plain = (epochs - plain_epochs) * per_epoch  # the first step of plain images
    for step in range(first - first % per_epoch, epochs * per_epoch):
        rng = np.random.default_rng([seed, step + 1])
        start = step % per_epoch * batch_size
        if start == 0:
            order = rng.permutation(count)
        if step < first:
            continue  # only the epoch's order is needed
        chosen = order[start : start + batch_size]
        changing = augment and step < plain
        maps = augment.draw(rng, len(chosen), *split.images.shape[1:3]) if changing else None
        bounds = shards_of(len(chosen), shards)[here]
        own = slice(bounds[0][0], bounds[-1][1]) if bounds else slice(0)
        its_own = chosen[own]
        yield Batch(
            images=split.images[its_own],
            labels=split.labels[its_own],
            maps=cut(maps, own.start, own.stop),
            bounds=[(start - own.start, end - own.start) for start, end in bounds],
            size=len(chosen),
        )


def ahead(items):
    """Yield the items of a generator; a thread makes each while the one before it is used."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item
