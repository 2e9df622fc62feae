"""Figures: each function returns a matplotlib Figure, and `png` turns one into bytes."""

import io
import math

import numpy as np
from matplotlib.figure import Figure

from ..layers import Softmax
from ..layers.refusals import pair
from ..losses import cross_entropy
from .rollout import attention_rollout, patches_read

BLUE, RED = "#4477aa", "#ee6677"  # colour-blind readers can tell them apart (Paul Tol's set)


def png(figure):
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _gap(classes):
    """What separates two class names: a new line if they are words, which are wide."""
    return " " if max(map(len, classes)) < 3 else "\n"


def curves(rows):
    """Loss and accuracy at each step, from the rows of `fit`; a dot for each validation."""
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
        f"The worst {len(worst)} of {len(mistakes)} mistakes: label → prediction and its "
        "probability"
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    gap = _gap(classes)
    for axes, i in zip(grid.flat, worst, strict=False):
        best = logits[i].argmax()
        axes.imshow(images[i], cmap="gray_r")
        title = f"{classes[labels[i]]} →{gap}{classes[best]}  {probabilities[i, best]:.0%}"
        axes.set_title(title, fontsize=9, parse_math=False)
    for axes in grid.flat:
        axes.axis("off")
    return figure


def mistakes_by_loss(labels, logits):
    """Indices of the wrong predictions, the largest loss first."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=-1)) - shifted[np.arange(len(labels)), labels]
    wrong = np.flatnonzero(logits.argmax(axis=-1) != labels)
    return wrong[np.argsort(-losses[wrong], kind="stable")]


def attention_and_gradients(classifier, images, labels):
    """A row for each image (n, H, W) or (n, H, W, C): patches, their attention, dLoss/dpixels.

    The attention that a patch gets in each block is the mean over heads and query tokens. The pixel
    gradient, summed over colours, shows where more ink, or light, would raise the loss (red) or
    lower it (blue); each image has its own colour scale.
    """
    model, params, classes = classifier.model, classifier.params, classifier.classes
    logits, cache = model.forward(params, classifier.normalize(images))
    _, dlogits = cross_entropy(logits, labels)
    dimages = model.backward(params, dlogits, cache, params.zeros_like())  # (n, H, W, C)
    shape = (len(images), model.patches.rows, model.patches.columns)
    received = [  # of each block: (n, H/P, W/Q)
        block["attn"]["att"].mean(axis=(1, 2))[:, -model.patches.count :].reshape(shape)
        for block in cache["blocks"]
    ]
    names = [
        f"{classes[label]},{_gap(classes)}read as {classes[best]}"
        for label, best in zip(labels, logits.argmax(axis=1), strict=True)
    ]
    titles = ["patches", *(f"attention {i}" for i in range(len(received))), "dLoss/dpixels"]
    figure = _image_rows(titles, images, names, received, dimages, cmap="gray_r")
    H, W = images[0].shape[:2]
    for axes in figure.axes[:: len(titles)]:
        draw_grid(axes, H, W, (H // model.patches.rows, W // model.patches.columns))
    return figure


def attention_of_predictions(classifier, pixels):
    """A row for each raw image (n, H, W, C): the image, its attention rollout, and a gradient.

    It is the gradient of the winning logit at the pixels, summed over colours: brighter pixels on
    red would raise the logit, on blue lower it. Each image has its own colour scale.
    """
    model, params = classifier.model, classifier.params.to("cpu")
    logits, cache = model.forward(params, classifier.normalize(pixels))  # (n, K)
    winners = np.eye(logits.shape[1], dtype=logits.dtype)[logits.argmax(axis=1)]  # (n, K)
    dimages = model.backward(params, winners, cache, params.zeros_like())  # (n, H, W, C)
    rollout = attention_rollout([block["attn"]["att"] for block in cache["blocks"]])
    probabilities, _ = Softmax().forward(logits)
    best = zip(probabilities.argmax(axis=1), probabilities.max(axis=1), strict=True)
    names = [f"{classifier.classes[winner]}  {probability:.0%}" for winner, probability in best]
    titles, read = ["image", "attention rollout", "dlogit/dpixels"], patches_read(model, rollout)
    return _image_rows(titles, pixels, names, [read], dimages, cmap="gray")


def _image_rows(titles, images, names, maps, dimages, cmap):
    """A row for each image: with its name, then its part of each map, then its gradient."""
    figure = Figure(figsize=(1.3 * len(titles), 1.3 * len(images) + 0.4), layout="constrained")
    grid = figure.subplots(len(images), len(titles), squeeze=False)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=9)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    for i, row in enumerate(grid):
        H, W = images[i].shape[:2]
        row[0].imshow(images[i], cmap=cmap, extent=(0, W, H, 0))
        row[0].set_ylabel(names[i], fontsize=9, parse_math=False)
        for axes, values in zip(row[1:-1], maps, strict=True):
            axes.imshow(values[i], cmap="cividis")
        gradient = dimages[i].sum(axis=-1)  # (H, W), summed over colours; red is positive
        limit = abs(gradient).max() or 1
        row[-1].imshow(gradient, cmap="RdBu_r", vmin=-limit, vmax=limit)
    return figure


def patch_grid(image, patch_size):
    """An image (H, W, C), floats in [0, 1], with the borders of its patches; P or (P, Q)."""
    H, W = image.shape[:2]
    figure = Figure(figsize=(6, 6 * H / W), layout="constrained")
    axes = figure.subplots()
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=(0, W, H, 0))
    draw_grid(axes, H, W, patch_size)
    axes.axis("off")
    return figure


def draw_grid(axes, height, width, patch_size):
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
        shown = np.maximum(values, 1e-17)  # a log scale has no place for zero
        axes.loglog(steps, shown, "o-", color=color, markersize=3, label=labels[method])
    axes.set(xlabel="step", ylabel="relative error", title=f"Slope of {name}: error against step")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def strips(rows, title):
    """A figure with a strip of images in each row; rows: {what it shows: its pixels}."""
    H, W = next(iter(rows.values())).shape[:2]
    height = 9 * H / W + 0.05
    figure = Figure(figsize=(10, height * len(rows) + 0.5), layout="constrained")
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, (name, pixels) in zip(grid, rows.items(), strict=True):
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255)
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(name, fontsize=9, rotation=0, ha="right", va="center")
    return figure
