"""What a training step and the batches of a run must do, whatever the model's gradients are."""

import math
from unittest import mock

import numpy as np

from ..classifier import Classifier
from ..losses import cross_entropy
from ..models import ViT
from ..optim import SGD
from ..params import Params
from ..training import step as steps
from ..training.batches import batches
from .numeric import random_params
from .report import Findings

CONFIG = dict(
    image_size=4, patch_size=2, channels=1, dim=6, depth=2, heads=2, mlp_dim=5, classes=3,
    pool="cls", dropout=0.2, drop_path=0.2,
)  # fmt: skip
IMAGES = 7


def training_step():
    """Check `loss_and_gradients` on a small model; return Findings."""
    rng, findings = np.random.default_rng(0), Findings()
    model = ViT(**CONFIG)
    params = random_params(model, rng)
    images, labels = rng.standard_normal((IMAGES, 4, 4, 1)), np.arange(IMAGES) % 3
    logits, cache = model.forward(params, images)
    loss, dlogits = cross_entropy(logits, labels)
    whole = params.zeros_like()
    model.backward(params, dlogits, cache, whole)
    right = float((logits.argmax(axis=-1) == labels).mean())

    def taken(shards=1, images=images, labels=labels):
        grads = params.zeros_like()
        grads.flat += 1  # of the step before
        rngs = [None] * shards
        found = steps.loss_and_gradients(model, params, images, labels, grads, rngs=rngs)
        return *found, grads.flat

    def compare(name, result):
        found, accuracy, flat = result
        ratio = float(flat @ whole.flat / (whole.flat @ whole.flat))
        findings.add(
            name,
            np.isclose(found, loss, rtol=1e-9)
            and accuracy == right
            and np.allclose(flat, whole.flat, rtol=1e-9, atol=1e-12),
            f"loss {found:.4g}, expected {loss:.4g}; accuracy {accuracy:.3g}, expected {right:.3g};"
            f" gradients {ratio:.4g} times those of the batch",
        )

    compare("a step has the loss and the gradients of the batch", taken())
    compare("shards change nothing", taken(shards=3))
    two_images = 2 * model.tokens * CONFIG["dim"]
    with mock.patch("minivit.models.micro_batch.MICRO_BATCH", two_images):
        compare("micro-batches change nothing", taken())
    twice = taken(1, np.concatenate([images, images]), np.concatenate([labels, labels]))
    compare("the batch twice over has the same mean loss", twice)

    start = Params(model.init(rng, np.float64))
    blank, _ = model.forward(start, images)
    first = float(cross_entropy(blank, labels)[0])
    findings.add("a new model has a loss of log K", abs(first - math.log(3)) < 1e-9, f"{first:.4g}")
    findings.add("every parameter learns", *_unmoved(model, start, images, labels))
    return findings


def _unmoved(model, params, images, labels):
    """Whether all arrays move in three steps of SGD (the zero head hides the others at first)."""
    before = params.astype(np.float64)
    optimizer, grads = SGD(params, 0.5), params.zeros_like()
    for _ in range(3):
        steps.loss_and_gradients(model, params, images, labels, grads)
        optimizer.step(grads)
    pairs = zip(params.named(), before.named(), strict=True)
    still = [name for (name, leaf), (_, old) in pairs if np.array_equal(leaf, old)]
    return not still, f"{', '.join(still)} did not move"


def run(make_batches=batches):
    """Check the batches of a run, and its evaluation; return Findings."""
    findings, count = Findings(), 23

    class Split:
        images = np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
        labels = np.arange(count) % 3

    def drawn(seed):
        options = dict(epochs=2, batch_size=5, seed=seed)
        return list(make_batches(Split, **options))

    pairs = [(images[:, 0, 0], labels) for images, labels, _ in drawn(0)]
    seen = np.concatenate([which for which, _ in pairs]).astype(int)
    labels = np.concatenate([given for _, given in pairs])
    findings.add("an image keeps its label", (labels == seen % 3).all(), "some have another's")
    epochs = seen[:count], seen[count:]
    once = len(seen) == 2 * count and all(len(set(epoch)) == count for epoch in epochs)
    findings.add("an epoch shows every image once", once, f"{len(set(seen[:count]))} of {count}")
    moved = len(seen) == 2 * count and (epochs[0] != epochs[1]).any()
    findings.add("every epoch has an order of its own", moved, "twice the same")
    again = np.concatenate([images for images, _, _ in drawn(0)])
    same = np.array_equal(again, np.concatenate([images for images, _, _ in drawn(0)]))
    findings.add("a seed gives one order", same, "two orders")

    model = ViT(**CONFIG)
    params = random_params(model, np.random.default_rng(1))
    classifier = Classifier(model, params, lambda images: images / 255.0, "abc")
    results = [classifier.logits(Split.images) for _ in "ab"]
    same = np.array_equal(*results)
    findings.add("evaluation draws nothing at random", same, "two results")
    return findings
