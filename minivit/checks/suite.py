"""All that minivit checks in itself: CHECKS, by name; each returns a report with `ok`.

A case for gradcheck is a layer, the loss or a small model, with a fitting input. All sizes of an
input differ from each other and from the layer's: a transposition or a wrong axis cannot hide.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import layers, optim
from ..classifier import Classifier
from ..losses import cross_entropy
from ..models import CNN, ViT
from ..models.micro_batch import images_at_once
from ..params import Params
from ..training.batches import batches
from ..training.step import loss_and_gradients
from . import optimizers
from .gradcheck import gradcheck
from .inside import Loss
from .numeric import random_params
from .report import Findings
from .structure import structure


class Case(NamedTuple):
    make: Callable  # () -> the layer, new
    shape: tuple  # of its input
    loss: Callable | None = None  # y -> (loss, dy)


def labels_of(logits):
    """Labels with every class among them."""
    return np.arange(len(logits)) % logits.shape[1]


def smoothed_loss(logits):
    return cross_entropy(logits, labels_of(logits), smoothing=0.1)


MODEL: dict[str, Any] = dict(
    image_size=(4, 6), patch_size=2, channels=3, dim=6, depth=2, heads=2, mlp_dim=5, classes=3,
    pool="cls", dropout=0.2, drop_path=0.2,
)  # fmt: skip
CNN_SIZES: dict[str, Any] = dict(image_size=(4, 8), channels=2, classes=3, dims=(5, 7, 6))
DROPOUT = dict(dropout=0.3, drop_path=0.2)
CASES = {
    "linear": Case(partial(layers.Linear, 7, 5), (2, 3, 7)),
    "gelu": Case(partial(layers.GELU), (2, 3, 7)),
    "gelu_exact": Case(partial(layers.ExactGELU), (2, 3, 7)),
    "mlp": Case(partial(layers.MLP, 5, 11), (2, 3, 5)),
    "layernorm": Case(partial(layers.LayerNorm, 7), (2, 3, 7)),
    "softmax": Case(partial(layers.Softmax), (2, 3, 7)),
    "attention": Case(partial(layers.Attention, 15, 3), (2, 7, 15)),
    "dropout": Case(partial(layers.Dropout, 0.3, 0.2), (5, 3, 7)),
    "block": Case(partial(layers.PreNormBlock, 6, 2, 11, **DROPOUT), (3, 5, 6)),
    "layer_scale": Case(partial(layers.LayerScale, 7), (2, 3, 7)),
    "scaled_block": Case(partial(layers.PreNormBlock, 6, 2, 11, layer_scale=0.1), (3, 5, 6)),
    "post_norm": Case(partial(layers.PostNormBlock, 6, 2, 11, **DROPOUT), (3, 5, 6)),
    "identity": Case(partial(layers.Identity), (2, 3, 7)),
    "patches": Case(partial(layers.Patches, 6, 10, 2, 3, 7), (2, 6, 10, 3)),
    "class_token": Case(partial(layers.ClassToken, 5), (2, 3, 5)),
    "positions": Case(partial(layers.Positions, 3, 5), (2, 3, 5)),
    "sinusoids_1d": Case(partial(layers.SinusoidalPositions, 3, 10), (2, 3, 10)),
    "sinusoids_2d": Case(partial(layers.SinusoidalPositions2D, 2, 5, 12), (3, 10, 12)),
    "mean_pool": Case(partial(layers.MeanPool), (2, 3, 5)),
    "patch_mean_pool": Case(partial(layers.PatchMeanPool), (2, 3, 5)),
    "first_token": Case(partial(layers.FirstToken), (2, 3, 5)),
    "pre_logits": Case(partial(layers.PreLogits, 5, 7), (3, 5)),
    "cross_entropy": Case(partial(Loss, smoothed_loss), (5, 3)),
    "convolution": Case(partial(layers.Convolution, 3, 7), (2, 4, 5, 3)),
    "halve": Case(partial(layers.Halve), (3, 4, 6, 5)),
    "stage": Case(partial(layers.Stage, 3, 7), (2, 4, 5, 3)),
    "cnn": Case(partial(CNN, **CNN_SIZES), (5, 4, 8, 2), smoothed_loss),
    "vit": Case(partial(ViT, **MODEL), (3, 4, 6, 3), smoothed_loss),
}


def check(name, *, method="complex", mode="full", seed=0):
    """Return the gradcheck Report of the case of that name, at an input drawn with the seed."""
    make, shape, loss = CASES[name]
    x = np.random.default_rng([seed, 1]).standard_normal(shape)
    return gradcheck(make(), x, loss=loss, method=method, mode=mode, seed=seed)


def training_step():
    """Check `loss_and_gradients` on a small model; return Findings."""
    rng, findings = np.random.default_rng(0), Findings()
    model = ViT(**MODEL)
    params = random_params(model, rng)
    images = rng.standard_normal((7, 4, 6, 3))
    logits, cache = model.forward(params, images)
    labels = labels_of(logits)
    loss, dlogits = cross_entropy(logits, labels)
    whole = params.zeros_like()
    model.backward(params, dlogits, cache, whole)
    accuracy = float((logits.argmax(axis=-1) == labels).mean())

    def compare(name, shards=1, repeats=1):
        grads = params.zeros_like()
        grads.flat += 1  # of the step before
        batch = np.concatenate([images] * repeats), np.tile(labels, repeats)
        step_loss, right = loss_and_gradients(model, params, *batch, grads, rngs=[None] * shards)
        ratio = float(grads.flat @ whole.flat / (whole.flat @ whole.flat))
        same = np.isclose([step_loss, right], [loss, accuracy], rtol=1e-9).all()
        same &= np.allclose(grads.flat, whole.flat, rtol=1e-9, atol=1e-12)
        observed = (
            f"loss {step_loss:.4g}, expected {loss:.4g}; accuracy {right:.3g}, expected "
            f"{accuracy:.3g}; gradients {ratio:.4g} times those of the batch"
        )
        findings.add(name, same, observed)

    compare("a step computes the loss and gradients of the batch")
    compare("shards change nothing", shards=3)
    compare("the batch repeated twice has the same mean loss", repeats=2)
    too_many = images_at_once(model, params) // len(images) + 1
    compare("micro-batches change nothing", repeats=too_many)

    start = Params(model.init(rng, np.float64))
    first = float(cross_entropy(model.forward(start, images)[0], labels)[0])
    findings.expect("a new model has a loss of log K", first, math.log(MODEL["classes"]))
    params, grads = start.astype(np.float64), start.zeros_like()
    optimizer = optim.SGD(params, 0.5)
    for _ in range(3):  # the head, zero at first, hides the others
        loss_and_gradients(model, params, images, labels, grads)
        optimizer.step(grads)
    before = dict(start.named())
    still = [name for name, leaf in params.named() if np.array_equal(leaf, before[name])]
    findings.add("every parameter learns", not still, f"{', '.join(still)} did not move")
    return findings


def run_batches(make_batches=batches):
    """Check the batches of a run, and its evaluation; return Findings."""
    findings, count = Findings(), 23

    class Split:
        images = np.repeat(np.arange(count, dtype=np.uint8), 4 * 6 * 3).reshape(-1, 4, 6, 3)
        labels = np.arange(count) % 3

    def draw():
        """Which image came at each place, and with which label, in two epochs."""
        drawn = list(make_batches(Split, epochs=2, batch_size=5, seed=0))
        images, labels = (np.concatenate([batch[part] for batch in drawn]) for part in (0, 1))
        return images[:, 0, 0, 0].astype(int), labels

    order, labels = draw()
    findings.add("an image keeps its label", (labels == order % 3).all(), "labels are swapped")
    epochs = order[:count], order[count:]
    once = [len(epoch) == len(set(epoch)) == count for epoch in epochs]
    observed = f"the first shows {len(set(epochs[0]))} of {count}"
    findings.add("an epoch shows every image once", all(once), observed)
    findings.add("every epoch has its own order", not np.array_equal(*epochs), "both are equal")
    findings.add("a seed determines the order", np.array_equal(draw()[0], order), "two orders")

    model = ViT(**MODEL)
    params = random_params(model, np.random.default_rng(1))
    classifier = Classifier(model, params, lambda images: images / 255.0, "abc")
    results = [classifier.logits(Split.images) for _ in "ab"]
    findings.add("evaluation draws nothing at random", np.array_equal(*results), "two results")
    return findings


CHECKS = {name: partial(check, name) for name in CASES} | {
    "structure": lambda: structure(ViT(**MODEL)),
    "sgd": lambda: optimizers.sgd(optim.SGD),
    "adam": lambda: optimizers.adam(optim.Adam),
    "adamw": lambda: optimizers.adamw(optim.AdamW),
    "muon": lambda: optimizers.muon(optim.Muon),
    "clipping": lambda: optimizers.clipping(optim.clip_by_global_norm),
    "schedules": lambda: min(  # a wrong one, if there is any
        map(optimizers.schedule, (optim.warmup_linear, optim.warmup_cosine)), key=lambda f: f.ok
    ),
    "average": lambda: optimizers.average(optim.EMA),
    "training_step": training_step,
    "batches": run_batches,
}
