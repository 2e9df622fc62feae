"""What must hold of a loss, of the step of a training, of its batches and of an evaluation."""

import copy
import math

import numpy as np

from .. import optim
from ..classifier import Classifier
from ..data.digits import Split
from ..losses import cross_entropy
from ..models.micro_batch import images_at_once
from ..params import Params
from ..training.step import loss_and_gradients
from . import formulas
from .numeric import random_params
from .report import Findings


def loss():
    """Check the values of `cross_entropy`; return Findings."""
    rng, findings = np.random.default_rng(0), Findings()
    for size, name in ((1, "the loss is −Σ target · log p"), (1e4, "large logits do not overflow")):
        values, expected = [], []
        for B, K, smoothing in ((5, 3, 0.1), (4, 6, 0.0), (1, 2, 0.5)):
            logits, labels = size * rng.standard_normal((B, K)), rng.integers(0, K, B)
            with np.errstate(all="ignore"):
                values.append(float(cross_entropy(logits, labels, smoothing=smoothing)[0]))
            expected.append(formulas.cross_entropy(logits, labels, smoothing))
        findings.expect(name, values, expected)
    logits = rng.standard_normal((5, 3)).astype(np.float32)
    dtypes = {each.dtype for each in cross_entropy(logits, [0, 1, 2, 1, 0], smoothing=0.1)}
    findings.add("float32 stays float32", dtypes == {logits.dtype}, f"it becomes {dtypes}")
    return findings


def step(model):
    """Check `loss_and_gradients` on a small model; return Findings."""
    rng, findings = np.random.default_rng(0), Findings()
    params, classes = random_params(model, rng), model.config["classes"]
    shape = (*model.config["image_size"], model.config["channels"])

    def drawn(count):
        images = rng.standard_normal((count, *shape))
        labels = rng.integers(0, classes, count)
        labels[::2] = model.forward(params, images[::2])[0].argmax(axis=-1)  # some are right
        return images, labels

    def compare(name, images, labels, seeds=(None,), **options):
        """seeds: one for each shard, or None to draw nothing"""
        rngs = [None if seed is None else np.random.default_rng(seed) for seed in seeds]
        logits, cache = model.forward(params, images, copy.deepcopy(rngs[0]))
        loss, dlogits = cross_entropy(logits, labels, **options)
        whole, grads = params.zeros_like(), params.zeros_like()
        model.backward(params, dlogits, cache, whole)
        accuracy = float((logits.argmax(axis=-1) == labels).mean())
        grads.flat += 1  # of the step before
        results = loss_and_gradients(model, params, images, labels, grads, rngs=rngs, **options)
        ratio = float(grads.flat @ whole.flat / (whole.flat @ whole.flat))
        same = np.isclose(results, [loss, accuracy], rtol=1e-9).all()
        same &= np.allclose(grads.flat, whole.flat, rtol=1e-9, atol=1e-12)
        observed = (
            f"loss {results[0]:.4g}, expected {loss:.4g}; accuracy {results[1]:.3g}, expected "
            f"{accuracy:.3g}; gradients {ratio:.4g} times those of the batch"
        )
        findings.add(name, same, observed)

    images, labels = drawn(7)
    compare("a step computes the loss and gradients of the batch", images, labels)
    compare("shards change nothing", images, labels, seeds=[None] * 3)
    compare("a step drops out what its generator draws", images, labels, seeds=[5])
    compare("labels are smoothed as asked for", images, labels, smoothing=0.3)
    compare("micro-batches change nothing", *drawn(images_at_once(model, params) + 3))

    start = Params(model.init(rng, np.float64))
    first = float(cross_entropy(model.forward(start, images)[0], labels)[0])
    findings.expect("a new model has a loss of log K", first, math.log(classes))
    params, grads = start.astype(np.float64), start.zeros_like()
    optimizer = optim.SGD(params, 0.5)
    for _ in range(3):  # the head, zero at first, hides the others
        loss_and_gradients(model, params, images, labels, grads)
        optimizer.step(grads)
    before = dict(start.named())
    still = [name for name, leaf in params.named() if np.array_equal(leaf, before[name])]
    findings.add("every parameter learns", not still, f"{', '.join(still)} did not move")
    return findings


COUNT = 23


# Images that tell their own number, and labels that follow from it.
SPLIT = Split(
    np.repeat(np.arange(COUNT, dtype=np.uint8), 4 * 6 * 3).reshape(-1, 4, 6, 3),
    np.arange(COUNT) % 3,
)


class Draws:
    """In place of an augmentation: its maps are random numbers."""

    def draw(self, rng, count, height, width):
        return rng.random((count, 2, 3))


def run_batches(make_batches):
    """Check the batches of a run, such as training.batches.batches makes; return Findings."""
    findings = Findings()

    def draw(seed=0, **options):
        """Which image came at each place, with which label and map, in two epochs."""
        same = dict(epochs=2, batch_size=5, seed=seed, augment=Draws())
        drawn = list(make_batches(SPLIT, **same, **options))
        images, labels, maps = (
            np.concatenate([batch[part] for batch in drawn]) for part in range(3)
        )
        return images[:, 0, 0, 0].astype(int), labels, maps

    order, labels, maps = draw()
    findings.add("an image keeps its label", (labels == order % 3).all(), "labels are swapped")
    epochs = order[:COUNT], order[COUNT:]
    once = [len(epoch) == len(set(epoch)) == COUNT for epoch in epochs]
    observed = f"the first shows {len(set(epochs[0]))} of {COUNT}"
    findings.add("an epoch shows every image once", all(once), observed)
    findings.add("every epoch has its own order", not np.array_equal(*epochs), "both are equal")
    findings.add("a seed determines the order", np.array_equal(draw()[0], order), "two orders")
    findings.add("another seed, another order", not np.array_equal(draw(1)[0], order), "the same")
    own = len(np.unique(maps)) == maps.size
    findings.add("every image is augmented in its own way", own, "some have the same map")
    later, _, later_maps = draw(first=6)  # in the second epoch
    start = COUNT + 5
    same = np.array_equal(later, order[start:]) and np.array_equal(later_maps, maps[start:])
    findings.add("a resumed run has the same batches", same, "they differ")
    return findings


def evaluation(model):
    """Check how a `Classifier` evaluates a model; return Findings."""
    findings, rng = Findings(), np.random.default_rng(1)
    params = random_params(model, rng)
    height, width = model.config["image_size"]
    shape = COUNT, height, width, model.config["channels"]
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    classifier = Classifier(model, params, lambda images: images / 255.0, "abc")
    results = [classifier.logits(images) for _ in "ab"]
    findings.add("evaluation draws nothing at random", np.array_equal(*results), "two results")
    logits, _ = model.forward(params, images / 255.0)
    same = np.allclose(results[0], logits, rtol=1e-9, atol=1e-9)
    findings.add("without a cache, the answer is the same", same, "other logits")
    return findings


def initial(model):
    """Check the initial values of a `ViT`; return Findings."""
    findings, depth = Findings(), model.config["depth"]
    params = Params(model.init(np.random.default_rng(0), np.float64))
    sizes, expected, constant = [], [], []
    for name, leaf in params.named():
        if name.startswith("head.") or leaf.ndim == 1:
            value = 1.0 if name.endswith("w") and "ln" in name else 0.0
            value = model.config["layer_scale"] if ".ls" in name else value
            constant += [name] if (leaf != value).any() else []
        elif name != "pos":
            into_stream = name.endswith(("proj.w", "fc2.w"))
            std = 1 / math.sqrt(len(leaf)) / (math.sqrt(2 * depth) if into_stream else 1)
            sizes.append(leaf.std())
            expected.append(std)
    name = "matrices have std 1/√d_in, those into the stream 1/√(2L) of it"
    findings.expect(name, sizes, expected, 0.1)
    findings.add(
        "biases and head start at zero, layer norms at one, layer scales as asked for",
        not constant,
        ", ".join(constant),
    )
    return findings
