"""How good a model is on a set of images."""

import numpy as np

from ..losses import cross_entropy


def predict(model, params, images, prepare, batch_size=250):
    """Return the logits (n, K) of raw images (n, H, W) or (n, H, W, C), batch by batch; memory does not grow with n."""
    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    return np.concatenate([model.forward(params, prepare(batch), keep=False)[0] for batch in batches])


def evaluate(model, params, split, prepare):
    """Return (loss in nats, accuracy from 0 to 1, logits (n, K)) on a Split of raw images and labels."""
    logits = predict(model, params, split.images, prepare)
    loss, _ = cross_entropy(logits, split.labels)
    accuracy = np.mean(logits.argmax(axis=-1) == split.labels)
    return float(loss), float(accuracy), logits


def confusion_matrix(labels, predictions, classes):
    """Return counts (K, K): row, the true class; column, what the model said."""
    return np.bincount(labels * classes + predictions, minlength=classes**2).reshape(classes, classes)
