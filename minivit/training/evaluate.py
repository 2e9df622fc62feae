"""How good a model is on a set of images."""

import numpy as np

from ..losses import cross_entropy


def predict(model, params, images, prepare, *, batch_size=125, mapper=map):
    """Return the logits (n, K) of raw images (n, H, W) or (n, H, W, C), batch by batch.

    mapper: `map`, or the one of `step.threads`, which goes through the batches side by side
    """

    def forward(start):
        prepared = prepare(images[start : start + batch_size])
        prepared = prepared.astype(params.flat.dtype, copy=False)
        return model.forward(params, prepared, keep=False)[0]

    return np.concatenate(list(mapper(forward, range(0, len(images), batch_size))))


def evaluate(model, params, split, prepare, mapper=map):
    """Return loss in nats, accuracy from 0 to 1, and logits (n, K) on a Split of raw images."""
    logits = predict(model, params, split.images, prepare, mapper=mapper)
    loss, _ = cross_entropy(logits, split.labels)
    accuracy = np.mean(logits.argmax(axis=-1) == split.labels)
    return float(loss), float(accuracy), logits
