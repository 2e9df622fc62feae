"""How good a model is on a set of images."""

import numpy as np

from ..backend import array_module, beside, to_device
from ..losses import cross_entropy
from ..models.micro_batch import images_at_once


def predict(model, params, images, prepare, *, mapper=map):
    """Return the logits (n, K) of raw images (n, H, W) or (n, H, W, C), batch by batch.

    It works where the parameters are; images and logits are on the CPU.

    mapper: `map`, or the one of `step.threads`, which goes through the batches side by side
    """

    at_once = images_at_once(model, params)

    def forward(start):
        prepared = prepare(beside(images[start : start + at_once], params.flat))
        prepared = prepared.astype(params.flat.dtype, copy=False)
        return model.forward(params, prepared, keep=False)[0]

    logits = list(mapper(forward, range(0, len(images), at_once)))
    return to_device(array_module(params.flat).concatenate(logits), "cpu")


def evaluate(model, params, split, prepare, mapper=map):
    """Return loss in nats, accuracy from 0 to 1, and logits (n, K) on a Split of raw images."""
    logits = predict(model, params, split.images, prepare, mapper=mapper)
    loss, _ = cross_entropy(logits, split.labels)
    accuracy = np.mean(logits.argmax(axis=-1) == split.labels)
    return float(loss), float(accuracy), logits
