"""All that minivit checks in itself: CHECKS, by name; each returns a report with `ok`.

A case for gradcheck is a layer, the loss or a small model, with a fitting input. All sizes of an
input differ from each other and from the layer's: a transposition or a wrong axis cannot hide. Each
has a second case or more, OTHERS: even where the first is odd, tall where it is wide, with other
options.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import layers, optim
from ..losses import cross_entropy, reconstruction
from ..models import CNN, Masked, Permutation, ViT
from ..training.batches import batches
from . import optimizers, training
from .formulas import FORMULAS, value
from .gradcheck import gradcheck
from .inside import Loss, backward_of, forward_of
from .masks import mask_fault
from .numeric import random_params
from .report import Report
from .structure import structure


class Case(NamedTuple):
    make: Callable  # () -> the layer, new
    shape: tuple  # of its input
    loss: Callable | None = None  # y -> (loss, dy)


def labels_of(logits):
    """Labels with every class among them."""
    return np.arange(len(logits)) % logits.shape[1]


def plain_loss(logits):
    return cross_entropy(logits, labels_of(logits))


def smoothed_loss(logits):
    return cross_entropy(logits, labels_of(logits), smoothing=0.1)


def painted_loss(painted):
    """Of patches that one seed draws, one of which is seen in each image."""
    B, N, numbers = painted.shape
    patches = np.random.default_rng(0).standard_normal((B, N, numbers - 2))
    return reconstruction(painted, patches.astype(painted.dtype), np.arange(B)[:, None] % N)


MODEL: dict[str, Any] = dict(
    image_size=(4, 6), patch_size=2, channels=3, dim=6, depth=2, heads=2, mlp_dim=5, classes=3,
    pool="cls", dropout=0.2, drop_path=0.2,
)  # fmt: skip
TALL: dict[str, Any] = MODEL | dict(
    image_size=(6, 2), channels=2, dim=8, heads=1, positions="sincos2d", pool="patch_mean",
    norm_pooled=True, pre_logits=7, layer_scale=0.1,
)  # fmt: skip
POST: dict[str, Any] = TALL | dict(
    image_size=(4, 4), norm="post", layer_scale=None, positions="sincos1d", pool="mean",
    norm_pooled=False, pre_logits=None,
)  # fmt: skip
WIDE: dict[str, Any] = dict(dim=64, depth=3, mlp_dim=96, layer_scale=0.1)
CNN_SIZES: dict[str, Any] = dict(image_size=(4, 8), channels=2, classes=3, dims=(5, 7, 6))
ENCODER: dict[str, Any] = dict(
    image_size=(4, 6), patch_size=2, channels=3, dim=8, depth=1, heads=2, mlp_dim=5,
)  # fmt: skip
OTHER: dict[str, Any] = dict(
    image_size=(6, 4), patch_size=2, channels=1, dim=12, depth=2, heads=3, mlp_dim=7, dropout=0.2,
    positions="sincos2d",
)  # fmt: skip
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
    "keep_tokens": Case(partial(layers.KeepTokens, 0.4), (3, 7, 5)),
    "fill_tokens": Case(partial(layers.FillTokens, 7, 5), (2, 3, 5)),
    "twice": Case(partial(layers.Twice, layers.Positions(3, 5)), (2, 3, 5)),
    "cross_entropy": Case(partial(Loss, smoothed_loss), (5, 3)),
    "reconstruction": Case(partial(Loss, painted_loss), (3, 4, 7)),
    "convolution": Case(partial(layers.Convolution, 3, 7), (2, 4, 5, 3)),
    "halve": Case(partial(layers.Halve), (3, 4, 6, 5)),
    "stage": Case(partial(layers.Stage, 3, 7), (2, 4, 5, 3)),
    "cnn": Case(partial(CNN, **CNN_SIZES), (5, 4, 8, 2), smoothed_loss),
    "permutation": Case(partial(Permutation, **ENCODER, shown=0.3), (5, 4, 6, 3)),
    "masked": Case(partial(Masked, **ENCODER, seen=0.4, decoder_dim=4), (5, 4, 6, 3)),
    "vit": Case(partial(ViT, **MODEL), (3, 4, 6, 3), smoothed_loss),
}


SCALED = dict(layer_scale=0.1, eps=1e-2)
OTHERS = {
    "linear": [Case(partial(layers.Linear, 4, 6), (5, 4))],
    "gelu": [Case(partial(layers.GELU), (4, 5))],
    "gelu_exact": [Case(partial(layers.ExactGELU), (4, 5))],
    "mlp": [Case(partial(layers.MLP, 6, 4), (3, 2, 6))],
    "layernorm": [Case(partial(layers.LayerNorm, 6, 1e-2), (5, 6))],
    "softmax": [Case(partial(layers.Softmax), (3, 5, 4, 6))],
    "attention": [
        Case(partial(layers.Attention, 16, 4), (3, 6, 16)),
        Case(partial(layers.Attention, 3, 1), (2, 11, 3)),
    ],
    "dropout": [
        Case(partial(layers.Dropout, 0.6), (4, 6)),
        Case(partial(layers.Dropout, 0.0, 0.4), (8, 3, 2)),
    ],
    "block": [Case(partial(layers.PreNormBlock, 8, 1, 6, eps=1e-2), (2, 4, 8))],
    "layer_scale": [Case(partial(layers.LayerScale, 6), (4, 6))],
    "scaled_block": [Case(partial(layers.PreNormBlock, 8, 4, 6, **SCALED), (2, 4, 8))],
    "post_norm": [Case(partial(layers.PostNormBlock, 8, 1, 6, eps=1e-2), (2, 4, 8))],
    "identity": [Case(partial(layers.Identity), (4, 6))],
    "patches": [Case(partial(layers.Patches, 9, 4, (3, 2), 1, 6), (5, 9, 4, 1))],
    "class_token": [Case(partial(layers.ClassToken, 4), (5, 2, 4))],
    "positions": [Case(partial(layers.Positions, 6, 4), (5, 6, 4))],
    "sinusoids_1d": [Case(partial(layers.SinusoidalPositions, 5, 8, True), (2, 6, 8))],
    "sinusoids_2d": [Case(partial(layers.SinusoidalPositions2D, 4, 3, 8, True), (2, 13, 8))],
    "mean_pool": [Case(partial(layers.MeanPool), (3, 6, 4))],
    "patch_mean_pool": [Case(partial(layers.PatchMeanPool), (3, 6, 4))],
    "first_token": [Case(partial(layers.FirstToken), (3, 6, 4))],
    "pre_logits": [Case(partial(layers.PreLogits, 6, 4), (5, 6))],
    "keep_tokens": [Case(partial(layers.KeepTokens, 0.5, 1), (2, 6, 4))],
    "fill_tokens": [Case(partial(layers.FillTokens, 6, 4), (3, 5, 4))],
    "twice": [Case(partial(layers.Twice, layers.SinusoidalPositions2D(3, 2, 8)), (5, 6, 8))],
    "cross_entropy": [Case(partial(Loss, plain_loss), (4, 7))],
    "reconstruction": [Case(partial(Loss, painted_loss), (2, 6, 5))],
    "convolution": [Case(partial(layers.Convolution, 2, 4, 5), (3, 6, 3, 2))],
    "halve": [Case(partial(layers.Halve), (2, 6, 4, 3))],
    "stage": [Case(partial(layers.Stage, 2, 4), (3, 6, 3, 2))],
    "cnn": [Case(partial(CNN, **CNN_SIZES | dict(image_size=(6, 2), dims=(4, 6))), (3, 6, 2, 2))],
    "permutation": [Case(partial(Permutation, **OTHER), (3, 6, 4, 1))],
    "masked": [
        Case(partial(Masked, **OTHER, decoder_dim=8, decoder_depth=1), (3, 6, 4, 1)),
    ],
    "vit": [
        Case(partial(ViT, **TALL), (4, 6, 2, 2), plain_loss),
        Case(partial(ViT, **POST), (4, 4, 4, 2), plain_loss),
    ],
}


def check(name, *, method="complex", mode="full", seed=0):
    """Check the cases of that name; return the Report of the first that is wrong, or of the first.

    Each is checked at an input drawn with the seed: its gradients, its value and its dtypes.
    """
    reports = []
    for make, shape, loss in (CASES[name], *OTHERS[name]):
        x, layer = np.random.default_rng([seed, 1]).standard_normal(shape), make()
        report = gradcheck(layer, x, loss=loss, method=method, mode=mode, seed=seed)
        if not report.problems and (fault := wrong_value(layer, x)):
            report = Report(method, mode, report.rows, report.notes, [fault])  # inside, all follows
        if fault := wrong_dtype(layer, x):
            report.problem(fault)
        if not report.ok:
            return report
        reports.append(report)
    return reports[0]


def wrong_value(layer, x):
    """Say that y is not what the layer's formula gives, or that masks are wrong; None if right."""
    if isinstance(layer, layers.Dropout):
        fault = mask_fault(layer, np.random.default_rng(0))
        return fault and f"forward {fault}"
    if type(layer).__name__ in FORMULAS:
        params = random_params(layer, np.random.default_rng(0))
        for larger in (x, 10 * x):
            y, _ = forward_of(layer, None)(params, larger)
            expected = value(layer, params, larger)
            error = abs(y - expected).max() / abs(expected).max()
            if not error <= 1e-10:
                name = type(layer).__name__
                return f"forward does not give {name}'s formula (formulas.py): off by {error:.1g}"


def wrong_dtype(layer, x):
    """Say that a pass in float32 gives another dtype; None if it does not."""
    params = random_params(layer, np.random.default_rng(0)).astype(np.float32)
    y, cache = forward_of(layer, 0)(params, x.astype(np.float32))
    if y.dtype != np.float32:
        return f"forward returns {y.dtype} for float32"
    dx = backward_of(layer)(params, np.ones_like(y), cache, params.zeros_like())
    if dx.dtype != np.float32:
        return f"backward returns {dx.dtype} for float32"


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
    "layer_rates": lambda: optimizers.layer_rates(optim.layer_rates),
    "average": lambda: optimizers.average(optim.EMA),
    "loss": training.loss,
    "training_step": lambda: training.step(ViT(**MODEL)),
    "batches": lambda: training.run_batches(batches),
    "evaluation": lambda: min(
        map(training.evaluation, (ViT(**MODEL), CNN(**CNN_SIZES))), key=lambda f: f.ok
    ),
    "initial": lambda: training.initial(ViT(**MODEL | WIDE)),
}
