"""The gradients of one step: its batch, shard by shard, and each shard in micro-batches.

Gradients are added to, so the sums stay the same in micro-batches (models/micro_batch.py says why
there are any). The shards may be worked on side by side (workers.py).
"""

import itertools
import math

from ..backend import beside
from ..losses import checked_labels, cross_entropy
from ..models.micro_batch import images_at_once


def ready(images, maps, augment, prepare, place):
    """Augment raw images by their maps and prepare them; return what the model reads, (b, H, W, C).

    place: an array; if it is on a GPU, the images go there between the two, as bytes
    """
    if augment:
        images = augment.apply(images, maps)
    images = beside(images, place)
    return prepare(images) if prepare else images


def shard_pass(
    model,
    params,
    grads,
    images,
    labels,
    maps,
    *,
    batch,
    augment=None,
    prepare=None,
    smoothing=0.0,
    rng=None,
):
    """Go forward and backward on a shard of a batch of `batch` images.

    Adds the shard's part of the gradients to `grads`. Returns its part of the loss, and how many
    answers were right; on a GPU as 0-d arrays, which have not been waited for.
    """
    shard_loss, shard_right = 0.0, 0
    count = math.ceil(len(labels) / images_at_once(model, params))
    for start, end in parts(0, len(labels), count):
        share = (end - start) / batch  # the loss is a mean over the batch, not over its parts
        x = ready(images[start:end], maps[start:end], augment, prepare, params.flat)  # (b, H, W, C)
        true = beside(labels[start:end], params.flat)  # (b,)
        logits, cache = model.forward(params, x, rng)
        loss, dlogits = cross_entropy(logits, true, smoothing=smoothing)
        dlogits *= share
        model.backward(params, dlogits, cache, grads)
        shard_loss += loss * share
        shard_right += (logits.argmax(axis=-1) == true).sum()
    return shard_loss, shard_right


def one_by_one(model, params, grads, shards):
    """Run `shard_pass` on each of the shards, dicts of its arguments; return the results.

    Each shard has gradients of its own, as in a worker: then the sums are rounded alike.
    """
    if len(shards) == 1:
        return [shard_pass(model, params, grads, **shards[0])]
    results, own = [], grads.zeros_like()
    for shard in shards:
        results.append(shard_pass(model, params, own.zero(), **shard))
        grads.flat += own.flat
    return results


def loss_and_gradients(
    model,
    params,
    images,
    labels,
    grads,
    *,
    maps=None,
    augment=None,
    prepare=None,
    smoothing=0.0,
    rngs=(None,),
    run=one_by_one,
):
    """Go forward and backward on images (B, H, W, C) and labels (B,), shard by shard.

    grads:   Params, overwritten
    augment: an Augmentation, and the `maps` (B, 2, 3) that it drew for the images; or None
    prepare: raw images -> float images (B, H, W, C), if they are not that yet
    rngs:    one for each shard into which the batch is split: a generator for what the layers draw,
             or None to draw nothing
    run:     `one_by_one`, or the one of `workers`, which works on the shards side by side
    Returns the loss and the accuracy of the batch, on a GPU as 0-d arrays: `backend.floats` turns
    both into Python's numbers.
    Errors: ValueError if the numbers of images and labels differ, or for a label that is no class;
    MemoryError with a batch size to try.
    """
    B = len(labels)
    if not len(images) == B > 0:
        raise ValueError(
            f"loss_and_gradients: {len(images)} images and {B} labels; expected a label for each "
            "image, and at least one"
        )
    labels = checked_labels("loss_and_gradients", labels, model.config["classes"])
    grads.zero()
    same = dict(batch=B, augment=augment, prepare=prepare, smoothing=smoothing)
    maps = [None] * B if maps is None else maps
    bounds = parts(0, B, min(len(rngs), B))  # a batch may be smaller than the number of shards
    arguments = [
        dict(images=images[a:b], labels=labels[a:b], maps=maps[a:b], rng=rng, **same)
        for (a, b), rng in zip(bounds, rngs[: len(bounds)], strict=True)
    ]
    try:
        losses, right = zip(*run(model, params, grads, arguments), strict=True)
    except MemoryError as error:
        text, fewer = str(error).rstrip("."), min(B, images_at_once(model, params)) // 2
        advice = f"a batch of {fewer} images, or a smaller model" if fewer else "a smaller model"
        raise MemoryError(f"{text or 'out of memory'}. Try {advice}") from error
    return sum(losses), sum(right) / B


def parts(first, last, count):
    """Cut the range from first to last into `count` parts of nearly equal size: (start, end), …"""
    bounds = [first + (last - first) * i // count for i in range(count + 1)]
    return list(itertools.pairwise(bounds))
