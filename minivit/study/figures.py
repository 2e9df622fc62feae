"""Figures, one function each; every one returns a matplotlib Figure, and `png` makes it bytes."""

import io
import math

import numpy as np
from matplotlib.figure import Figure

from ..layers import Softmax
from ..layers.refusals import pair
from ..losses import cross_entropy

BLUE, RED = "#4477aa", "#ee6677"  # told apart by colour-blind readers too (Paul Tol's set)


def png(figure):
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _gap(classes):
    """What parts two class names: a new line if they are words, which are wider than an image."""
    return " " if max(map(len, classes)) < 3 else "\n"


def curves(rows):
    """Loss and accuracy over the steps, from the rows of `fit`; a dot for each validation."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    steps = [row["step"] for row in rows]
    ends = [row for row in rows if row["validation_loss"] is not None]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        values = [row[name] for row in rows]
        validation = [row[f"validation_{name}"] for row in ends]
        axes.plot(steps, values, color=BLUE, linewidth=0.8, label="training, each batch")
        axes.plot([row["step"] for row in ends], validation, "o-", color=RED, label="validation")
        axes.set(xlabel="step", title="loss in nats (log scale)" if name == "loss" else name)
        axes.grid(alpha=0.3)
        axes.legend()
        if name == "loss":
            axes.set_yscale("log")
    return figure


def worst_mistakes(images, labels, logits, classes, count=24, columns=8):
    """The images (n, H, W) or (n, H, W, C) that the model got wrong, the largest loss first."""
    mistakes = mistakes_by_loss(labels, logits)
    worst = mistakes[:count]
    probabilities, _ = Softmax().forward(logits)
    rows = max(1, math.ceil(len(worst) / columns))
    figure = Figure(figsize=(columns * 1.15, rows * 1.6 + 0.5), layout="constrained")
    figure.suptitle(
        f"The worst {len(worst)} of {len(mistakes)} mistakes: what it is → what the model said, "
        "and how sure it was"
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    gap = _gap(classes)
    for axes, i in zip(grid.flat, worst, strict=False):
        said = logits[i].argmax()
        axes.imshow(images[i], cmap="gray_r")
        title = f"{classes[labels[i]]} →{gap}{classes[said]}  {probabilities[i, said]:.0%}"
        axes.set_title(title, fontsize=9, parse_math=False)
    for axes in grid.flat:
        axes.axis("off")
    return figure


def mistakes_by_loss(labels, logits):
    """Indices of the wrong answers, the largest loss first."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=-1)) - shifted[np.arange(len(labels)), labels]
    wrong = np.flatnonzero(logits.argmax(axis=-1) != labels)
    return wrong[np.argsort(-losses[wrong])]


def attention_and_gradients(classifier, images, labels):
    """One row an image (n, H, W) or (n, H, W, C): patches, the attention they get, dLoss/dpixels.

    The attention in each block is the mean over heads and query tokens. The pixel gradient, the sum
    over colours, says where more ink, or light, would make the loss rise (red) or fall (blue); each
    image has its own colour scale.
    """
    model, params, classes = classifier.model, classifier.params, classifier.classes
    logits, cache = model.forward(params, classifier.normalize(images))
    _, dlogits = cross_entropy(logits, labels)
    dimages = model.backward(params, dlogits, cache, params.zeros_like())  # (n, H, W, C)
    H, W = images.shape[1:3]
    P, depth = model.patches.patch_size, len(model.blocks)
    figure = Figure(figsize=(1.3 * (depth + 2), 1.3 * len(images) + 0.4), layout="constrained")
    grid = figure.subplots(len(images), depth + 2, squeeze=False)
    for i, row in enumerate(grid):
        row[0].imshow(images[i], cmap="gray_r", extent=(0, W, H, 0))
        _draw_grid(row[0], H, W, P)
        said = classes[logits[i].argmax()]
        name = f"{classes[labels[i]]},{_gap(classes)}said {said}"
        row[0].set_ylabel(name, fontsize=9, parse_math=False)
        for axes, block in zip(row[1:-1], cache["blocks"], strict=True):
            received = block["attn"]["att"][i].mean(axis=(0, 1))  # (T,)
            patches = received[-model.patches.count :].reshape(H // P, W // P)
            axes.imshow(patches, cmap="cividis")
        gradient = dimages[i].sum(axis=-1)  # (H, W)
        limit = abs(gradient).max() or 1
        row[-1].imshow(gradient, cmap="RdBu_r", vmin=-limit, vmax=limit)
    attention = [f"attention {block}" for block in range(1, depth + 1)]
    for axes, title in zip(grid[0], ["patches", *attention, "dLoss/dpixels"], strict=True):
        axes.set_title(title, fontsize=9)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    return figure


def patch_grid(image, patch_size):
    """A picture (H, W, C), floats in [0, 1], and how it is cut; patch_size as `cut_patches` has."""
    H, W = image.shape[:2]
    figure = Figure(figsize=(6, 6 * H / W), layout="constrained")
    axes = figure.subplots()
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=(0, W, H, 0))
    _draw_grid(axes, H, W, patch_size)
    axes.axis("off")
    return figure


def _draw_grid(axes, height, width, patch_size):
    """The lines between the patches."""
    P, Q = pair("figures", "patch_size", patch_size)
    axes.hlines(range(0, height + 1, P), 0, width, color=BLUE, linewidth=0.6)
    axes.vlines(range(0, width + 1, Q), 0, height, color=BLUE, linewidth=0.6)


def step_sweep(steps, errors, name):
    """The error of numerical derivatives against their step, from `checks.numeric.step_sweep`."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    labels = {"central": "central differences", "complex": "complex step"}
    for (method, values), color in zip(errors.items(), (RED, BLUE), strict=True):
        shown = np.maximum(values, 1e-17)  # an error of zero has no place on a log scale
        axes.loglog(steps, shown, "o-", color=color, markersize=3, label=labels[method])
    axes.set(xlabel="step", ylabel="relative error", title=f"Slope of {name}: error against step")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
