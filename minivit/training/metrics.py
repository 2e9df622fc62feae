"""Metrics of a model's predictions: from logits (n, K) and true labels (n,)."""

import numpy as np

from ..losses import cross_entropy


def confusion_matrix(labels, predictions, classes):
    """Return counts (K, K): a row for each true class, a column for each prediction.

    Errors: ValueError for a label or a prediction that is not from 0 to K − 1.
    """
    for name, numbers in {"labels": labels, "predictions": predictions}.items():
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < classes:
            raise ValueError(
                f"confusion_matrix: {name} are from {numbers.min()} to {numbers.max()}; "
                f"{classes} classes are numbered 0 to {classes - 1}"
            )
    counts = np.bincount(labels * classes + predictions, minlength=classes * classes)
    return counts.reshape(classes, classes)


def top_k_accuracy(labels, logits, k):
    """Return the share, from 0 to 1, of images whose class is among the k largest logits.

    Of equal logits the first counts as the largest, as for argmax: k = 1 is the accuracy.
    """
    if not 1 <= k <= logits.shape[1]:
        raise ValueError(f"top_k_accuracy: k is from 1 to {logits.shape[1]} classes, got {k!r}")
    best = np.argsort(-logits, axis=1, kind="stable")[:, :k]  # (n, k)
    return float((best == labels[:, None]).any(axis=1).mean())


def precision_and_recall(confusion):
    """Return two arrays (K,), of shares from 0 to 1, for a confusion matrix (K, K).

    precision: the share of the predictions of a class that are right; nan if there are none
    recall:    the share of the images of a class that are predicted; nan if there are none
    """
    right, predicted, true = np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    with np.errstate(invalid="ignore"):  # 0 / 0 is nan
        return right / predicted, right / true


def metrics(labels, logits, classes, k=3):
    """Return all metrics as plain numbers and lists, for a JSON file.

    classes: the names of all K classes
    Returns loss (nats), accuracy, top_k_accuracy and its k (at most K), confusion_matrix, and for
    each class images, precision and recall; a precision or recall of nothing is None.
    """
    loss, _ = cross_entropy(logits, labels)  # first, since it refuses what does not fit
    if len(classes) != logits.shape[1]:
        raise ValueError(f"metrics: {len(classes)} class names for {logits.shape[1]} logits each")
    predictions = logits.argmax(axis=1)
    confusion = confusion_matrix(labels, predictions, len(classes))
    k = min(k, len(classes))
    shares = zip(classes, confusion.sum(axis=1), *precision_and_recall(confusion), strict=True)
    return dict(
        loss=float(loss),
        accuracy=float((predictions == labels).mean()),
        k=k,
        top_k_accuracy=top_k_accuracy(labels, logits, k),
        confusion_matrix=confusion.tolist(),
        classes={
            name: dict(images=int(images), precision=_or_none(precision), recall=_or_none(recall))
            for name, images, precision, recall in shares
        },
    )


def _or_none(share):
    """The share as a number, or None for nan, which JSON has not."""
    return None if np.isnan(share) else float(share)
