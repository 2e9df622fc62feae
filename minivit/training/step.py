"""The gradients of one step: its batch, shard by shard, and each shard in micro-batches.

Gradients are added to, so the sums stay the same in micro-batches (models/micro_batch.py says why
there are any). The shards may be worked on side by side (workers.py).
"""

import itertools
import math

from ..backend import array_module, beside
from ..layers.keep_tokens import draw_places
from ..losses import checked_labels, cross_entropy
from ..models.micro_batch import images_at_once


def ready(images, maps, augment, prepare, place):
    """Augment raw images by their maps and prepare them; return what the model reads, (b, H, W, C).

    maps:  what `augment` drew for the images; None leaves them as they are
    place: an array; if it is on a GPU, the images go there between the two, as bytes
    """
    if maps is not None:
        images = augment.apply(images, maps)
    images = beside(images, place)
    return prepare(images) if prepare else images


def drawn(model, rng, images, keep_tokens=None):
    """What is drawn for so many images, (images, M): which tokens go through the model, or None.

    A model that learns without labels draws what it asks; any other may be given a share of the
    tokens to keep, beside its class token.
    """
    if hasattr(model, "draw"):
        return model.draw(rng, images)
    if keep_tokens is None:
        return None
    tokens, patches = model.tokens, model.patches.count
    return draw_places(rng, images, tokens, keep_tokens, always=tokens - patches)


def answered(model, params, images, labels, places, rng=None, smoothing=0.0):
    """Go forward; return the loss, how many answers are right, dy and the cache.

    The answers are logits of classes, unless the model grades them itself: by what it has drawn, or
    by what its labels are. A model that writes a text is told the text so far (`Reader.told`).
    """
    given = model.told(labels) if hasattr(model, "told") else {}
    if places is not None:
        given["places"] = places
    y, cache = model.forward(params, images, rng, **given)
    if hasattr(model, "grade"):
        truth = labels if places is None else places
        loss, dy, right, asked = model.grade(y, images, truth, smoothing)
        return loss, right / array_module(y).maximum(asked, 1) * len(images), dy, cache
    loss, dy = cross_entropy(y, labels, smoothing=smoothing)
    return loss, (y.argmax(axis=-1) == labels).sum(), dy, cache


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
    keep_tokens=None,
    rng=None,
):
    """Go forward and backward on a shard of a batch of `batch` images.

    Adds the shard's part of the gradients to `grads`. Returns its part of the loss, and how many
    answers were right; on a GPU as 0-d arrays, which have not been waited for.
    """
    shard_loss, shard_right = 0.0, 0
    places = drawn(model, rng, len(labels), keep_tokens)  # before the parts, whatever their size
    count = math.ceil(len(labels) / images_at_once(model, params))
    for start, end in parts(0, len(labels), count):
        share = (end - start) / batch  # the loss is a mean over the batch, not over its parts
        own = cut(maps, start, end)
        x = ready(images[start:end], own, augment, prepare, params.flat)  # (b, H, W, C)
        true = beside(labels[start:end], params.flat)  # (b,)
        some = cut(places, start, end)
        loss, right, dy, cache = answered(model, params, x, true, some, rng, smoothing)
        dy *= share
        model.backward(params, dy, cache, grads)
        shard_loss += loss * share
        shard_right += right
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
    keep_tokens=None,
    rngs=(None,),
    bounds=None,
    batch=None,
    run=one_by_one,
):
    """Go forward and backward on images (B, H, W, C) and labels (B,), shard by shard.

    grads:   Params, overwritten
    maps:    (B, 2, …), which the Augmentation `augment` drew for the images; None leaves them as
             they are
    prepare: raw images -> float images (B, H, W, C), if they are not that yet
    keep_tokens: share of each image's tokens that go through the model, drawn with the rng; None
             for all
    rngs:    one for each shard into which the batch is split: a generator for what the layers draw,
             or None to draw nothing
    bounds, batch: where each shard starts and ends, and how many images the batch has in all, if
             these are the shards of one rank of several (mpi.py); None for a whole batch
    run:     `one_by_one`, or the one of `workers`, which works on the shards side by side
    A model may grade its answers itself: model.grade(answer, images, truth, smoothing) returns the
    loss, its gradient, how many are right, and of how many. The truth is what it has drawn with the
    rng, if it learns without labels, or else the labels, an array of whatever it takes.
    Returns the loss and the accuracy of the batch, on a GPU as 0-d arrays: `backend.floats` turns
    both into Python's numbers.
    Errors: ValueError if the numbers of images and labels differ, or for a label that is no class;
    MemoryError with a batch size to try.
    """
    B = len(labels) if batch is None else batch
    if len(images) != len(labels) or B == 0:
        raise ValueError(
            f"loss_and_gradients: {len(images)} images and {len(labels)} labels; expected a label "
            "for each image, and at least one"
        )
    if len(labels) > 0 and not hasattr(model, "grade"):
        labels = checked_labels("loss_and_gradients", labels, model.config["classes"])
    grads.zero()
    how = dict(smoothing=smoothing, keep_tokens=keep_tokens)
    same = dict(batch=B, augment=augment, prepare=prepare, **how)
    bounds = shards_of(B, len(rngs)) if bounds is None else bounds
    arguments = [
        dict(images=images[a:b], labels=labels[a:b], maps=cut(maps, a, b), rng=rng, **same)
        for (a, b), rng in zip(bounds, rngs[: len(bounds)], strict=True)
    ]
    try:
        losses, right = zip(*run(model, params, grads, arguments), strict=True)
    except MemoryError as error:
        text, fewer = str(error).rstrip("."), min(B, images_at_once(model, params)) // 2
        advice = f"a batch of {fewer} images, or a smaller model" if fewer else "a smaller model"
        raise MemoryError(f"{text or 'out of memory'}. Try {advice}") from error
    return sum(losses), sum(right) / B


def cut(rows, start, end):
    """Some of the rows of an array; of None, None."""
    return None if rows is None else rows[start:end]


def shards_of(images, count):
    """Where each of `count` shards of so many images starts and ends; fewer, if images are few."""
    return parts(0, images, min(count, images))


def parts(first, last, count):
    """Cut the range from first to last into `count` parts of nearly equal size: (start, end), …"""
    bounds = [first + (last - first) * i // count for i in range(count + 1)]
    return list(itertools.pairwise(bounds))
