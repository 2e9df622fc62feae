"""A linear head on features that stay as they are: what is trained if a body is frozen."""

import math

import numpy as np

from ..data.digits import Split
from ..layers import Linear
from ..losses import cross_entropy
from ..optim import AdamW, warmup_linear
from ..params import Params
from .batches import batches
from .progress import Progress

DECAY = 1.0  # of the weights; good for 1 image of each class and for 200, at a rate of 3e-3


def head_progress(classifier, lr):
    """Return the Progress of a new head alone, for the features of a classifier's model."""
    width = classifier.model.head.d_in
    head = Linear(width, len(classifier.classes), gain=0.0)
    params = Params(head.init(np.random.default_rng(0)))  # zeros, whatever the seed
    alone = type(classifier)(head, params, classifier.normalize, classifier.classes)
    return Progress(alone, AdamW(params, lr, decay=DECAY))


def fit_head(progress, train, validation, *, epochs, batch_size, seed):
    """Train the head of `head_progress`; return progress.rows.

    train, validation: Splits of features (n, D) float32, in the place of images, and labels
    The rows are those of `fit` but for the gradient's norm. `progress.best` is the head of the
    epoch with the lowest validation loss.

    The head learns on features of mean 0 and standard deviation 1, which the same rate suits
    whatever the network. In the end it takes over what made them so: with z = (x − mean) / std,
    z w + b = x w/std + (b − mean w/std).
    """
    head, params, optimizer = progress.classifier.model, progress.params, progress.optimizer
    mean, std = train.images.mean(axis=0), train.images.std(axis=0)  # (D,)
    std[std == 0] = 1
    train, validation = (Split((x - mean) / std, labels) for x, labels in (train, validation))
    grads, peak = params.zeros_like(), optimizer.lr
    per_epoch = math.ceil(len(train.labels) / batch_size)
    for step, batch in enumerate(batches(train, epochs=epochs, batch_size=batch_size, seed=seed)):
        loss, accuracy, cache, dlogits = _graded(head, params, batch.images, batch.labels)
        head.backward(params, dlogits, cache, grads.zero())
        optimizer.lr = warmup_linear(step, steps=epochs * per_epoch, warmup=0, peak=peak)
        optimizer.step(grads)
        epoch, place = divmod(step, per_epoch)
        row = dict(
            step=step, epoch=epoch + 1, loss=loss, accuracy=accuracy,
            learning_rate=optimizer.lr, validation_loss=None, validation_accuracy=None,
        )  # fmt: skip
        progress.rows.append(row)
        if place == per_epoch - 1:
            loss, accuracy, *_ = _graded(head, params, validation.images, validation.labels)
            row.update(validation_loss=loss, validation_accuracy=accuracy)
            progress.validation_losses.append(loss)
            if progress.epochs_since_best() == 0:
                progress.best.flat[...] = params.flat
    optimizer.lr, progress.steps = peak, len(progress.rows)
    progress.best["w"] /= std[:, None]
    progress.best["b"] -= mean @ progress.best["w"]
    return progress.rows


def _graded(head, params, features, labels):
    """Loss and accuracy of the head as floats, its cache, and dlogits."""
    logits, cache = head.forward(params, features)  # (n, K)
    loss, dlogits = cross_entropy(logits, labels)
    return float(loss), float((logits.argmax(axis=-1) == labels).mean()), cache, dlogits
