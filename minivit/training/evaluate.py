"""How good a model is on a set of images."""

import numpy as np

from ..losses import cross_entropy


def predict(model, params, images, prepare, *, batch_size=125, each=map):
    """Return the logits (n, K) of raw images (n, H, W) or (n, H, W, C), batch by batch.

    each: `map`, or that of `step.threads`: how the batches are gone through
    """

    def forward(start):
        prepared = prepare(images[start : start + batch_size])
        return model.forward(params, prepared, keep=False)[0]

    return np.concatenate(list(each(forward, range(0, len(images), batch_size))))


def evaluate(model, params, split, prepare, each=map):
    """Return loss in nats, accuracy from 0 to 1, and logits (n, K) on a Split of raw images."""
    logits = predict(model, params, split.images, prepare, each=each)
    loss, _ = cross_entropy(logits, split.labels)
    accuracy = np.mean(logits.argmax(axis=-1) == split.labels)
    return float(loss), float(accuracy), logits


def confusion_matrix(labels, predictions, classes):
    """Return counts (K, K): row, the true class; column, what the model said."""
    counts = np.bincount(labels * classes + predictions, minlength=classes * classes)
    return counts.reshape(classes, classes)
