"""The gradients of one step: its batch, shard by shard, and each shard in micro-batches.

Gradients are added to, so the sums stay the same in micro-batches (micro_batch.py says why there
are any). The shards may be gone through side by side (workers.py).

Predictions are spread over threads: NumPy lets other threads run while it computes, and layers hold
no state, so threads can share one model. BLAS's own threads would help with the matrix products
only, and slow down greatly when another program takes one of the cores; so BLAS is held to one.
"""

import contextlib
import ctypes
import itertools
import math
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import threadpool_limits

from ..backend import beside
from ..losses import checked_labels, cross_entropy
from ..models.micro_batch import images_at_once

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def cores():
    """How many cores this process may use; a container's quota of their time is not seen."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def threads(count):
    """Yield a `map` that runs on `count` threads, this one among them.

    Thread i takes jobs i, i + count, … Until the end of the `with`, BLAS has one thread (where
    threadpoolctl knows it, so not Apple's Accelerate), and a thread that needs Python's lock asks
    for it again after 0.1 ms, no longer after 5 ms.
    """

    def mapper(function, *arguments):
        jobs = list(zip(*arguments, strict=False))
        results = [None] * len(jobs)

        def run(thread):
            for job in range(thread, len(jobs), count):
                results[job] = function(*jobs[job])

        others = [pool.submit(run, thread) for thread, pool in enumerate(pools, start=1)]
        run(0)
        for other in others:
            other.result()
        return results

    keep_freed_memory()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        with threadpool_limits(1), contextlib.ExitStack() as stack:
            pools = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(1, count)]
            yield mapper
    finally:
        sys.setswitchinterval(interval)


def keep_freed_memory():
    """Tell malloc, once for the whole process, to keep the memory of freed arrays for the next.

    On Linux, glibc hands large blocks back when they are freed, and the end of its heap too; the
    next array then fetches its memory anew, page by page, which takes as long as the arithmetic.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(M_MMAP_THRESHOLD, 2**25)  # bytes of a large block; glibc allows no more
        mallopt(M_TRIM_THRESHOLD, 2**30)  # bytes at the end of the heap


def ready(images, maps, augment, prepare, place):
    """Raw images as the model reads them, float (b, H, W, C): augmented by their maps, prepared.

    place: an array; if it is on a GPU, they go there between the two, as bytes
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
    """Go forward and backward on a shard of a batch; `batch` is the number of images in all of it.

    Adds the shard's part of the gradients to `grads`. Returns its part of the loss, and how many
    answers were right; on a GPU as 0-d arrays, for which nobody has waited yet.
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
    """Go through all shards, the arguments of `shard_pass`; add to `grads`, return the results."""
    return [shard_pass(model, params, grads, **shard) for shard in shards]


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
    shards=1,
    smoothing=0.0,
    rngs=None,
    run=one_by_one,
):
    """Go forward and backward on images (B, H, W, C) and labels (B,), shard by shard.

    grads:   Params, overwritten
    augment: an Augmentation, and the `maps` (B, 2, 3) that it drew for the images; or None
    prepare: raw images -> float images (B, H, W, C), if they are not that yet
    rngs:    a generator for each shard, for what the layers draw; None to draw nothing
    run:     `one_by_one`, or the one of `workers`, which goes through the shards side by side
    Returns the loss and the accuracy of the batch, on a GPU as 0-d arrays: `backend.floats` makes
    Python's numbers of both.
    Errors: ValueError if the numbers of images and labels, or of shards and rngs, do not fit, or
    for a label that is no class; MemoryError with a batch size to try.
    """
    B = len(labels)
    if not len(images) == B > 0:
        raise ValueError(
            f"loss_and_gradients: {len(images)} images and {B} labels; expected as many, and any"
        )
    rngs = [None] * shards if rngs is None else rngs
    if not len(rngs) == shards > 0:
        raise ValueError(
            f"loss_and_gradients: {shards} shards and {len(rngs)} rngs; expected one for each"
        )
    labels = checked_labels("loss_and_gradients", labels, model.config["classes"])
    grads.zero()
    same = dict(batch=B, augment=augment, prepare=prepare, smoothing=smoothing)
    maps = [None] * B if maps is None else maps
    bounds = parts(0, B, min(shards, B))  # a batch may be smaller than the number of shards
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
