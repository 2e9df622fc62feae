"""The gradients of one step, its batch split into shards that run side by side.

NumPy lets other threads run while it computes, and layers hold no state, so threads can share one
model: each goes forward and backward on its shard, into gradients of its own. That keeps all cores
busy in every line. BLAS's own threads would help with the matrix products only, and slow down
greatly when another program takes one of the cores; so BLAS is held to one thread.
"""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from ..losses import cross_entropy


def cores():
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@contextlib.contextmanager
def threads(count):
    """Yield a `map` that runs on `count` threads, with BLAS held to one thread each.

    Linux hands the memory of every large array back when it is freed, and fetches it anew, page by
    page, for the next. Freeing one of 32 MB teaches its malloc to keep the memory of smaller ones.
    """
    np.empty(2**25 - 2**14, np.uint8)
    with threadpool_limits(1), ThreadPoolExecutor(count) as pool:
        yield pool.map


def loss_and_gradients(model, params, images, labels, grads, *, smoothing=0.0, mapper=map):
    """Go forward and backward on images (B, H, W, C) and labels (B,), shard by shard.

    grads:  a list of Params, one for each shard, overwritten; grads[0] gets the batch's gradients
    mapper: `map`, or the one of `threads`, which goes through the shards side by side
    Returns the loss and the accuracy of the batch, as Python floats.
    """
    B, shards = len(labels), min(len(grads), len(labels))
    bounds = [B * i // shards for i in range(shards + 1)]

    def forward_and_backward(start, end, shard_grads):
        share = (end - start) / B  # the loss is a mean over the batch, not over the shard
        logits, cache = model.forward(params, images[start:end])
        loss, dlogits = cross_entropy(logits, labels[start:end], smoothing=smoothing)
        dlogits *= share
        model.backward(params, dlogits, cache, shard_grads.zero())
        return loss * share, (logits.argmax(axis=-1) == labels[start:end]).sum()

    results = list(mapper(forward_and_backward, bounds[:-1], bounds[1:], grads))
    for shard_grads in grads[1:shards]:  # in a fixed order: one seed, one result
        grads[0].flat += shard_grads.flat
    losses, right = zip(*results, strict=True)
    return float(sum(losses)), float(sum(right) / B)
