"""Figures of the summaries, one function each; `figures.png` makes a figure the bytes of a file."""

import numpy as np
from matplotlib.figure import Figure

from .figures import BLUE, RED
from .summaries import (
    attention_entropy,
    attention_rollout,
    gradient_weighted_attention,
    head_gradient_norms,
    layer_gradient_norms,
    read_by_the_head,
)
from .trace import trace


def rollout(record):
    """Each image of a trace beside the attention rollout from its patches to the head."""
    return _maps(record, attention_rollout(record), "attention rollout")


def weighted_attention(record):
    """Each image of a trace beside the attention that speaks for the answer."""
    flow = gradient_weighted_attention(record)
    return _maps(record, flow - np.eye(flow.shape[-1]), "gradient-weighted attention")


def _maps(record, flow, title):
    maps, images = read_by_the_head(record, flow), record.x.mean(axis=-1)
    figure = Figure(figsize=(1.5 * len(images) + 0.4, 3.5), layout="constrained")
    figure.suptitle(title)
    for column, image, patches in zip(
        figure.subplots(2, len(images), squeeze=False).T, images, maps, strict=True
    ):
        column[0].imshow(image, cmap="gray_r")
        column[1].imshow(patches, cmap="cividis")
        for axes in column:
            axes.set(xticks=[], yticks=[])
    return figure


def attention_of_answers(classifier, pixels):
    """One row for each raw image (n, H, W, C): what the model reads, its attention, and why.

    Why is the gradient of the winning logit at the pixels: brighter on red would make the model
    more sure, on blue less; each image has its own colour scale.
    """
    figure = Figure(figsize=(5, 1.7 * len(pixels) + 0.3), layout="constrained")
    rows = figure.subplots(len(pixels), 3, squeeze=False)
    params = classifier.params.to("cpu")
    for image, row, chances in zip(pixels, rows, classifier.predict(pixels), strict=True):
        winner = np.eye(len(chances), dtype=np.float32)[None, chances.argmax()]  # (1, K)
        prepared = classifier.normalize(image[None])  # (1, H, W, C)
        record = trace(classifier.model, params, prepared, dy=winner)
        gradient = record["images"].gradient[0].sum(axis=-1)  # (H, W)
        limit = abs(gradient).max() or 1
        row[0].imshow(image, cmap="gray")
        name = f"{classifier.classes[chances.argmax()]}  {chances.max():.0%}"
        row[0].set_ylabel(name, parse_math=False)
        row[1].imshow(read_by_the_head(record, attention_rollout(record))[0], cmap="cividis")
        row[2].imshow(gradient, cmap="RdBu_r", vmin=-limit, vmax=limit)
    for axes, title in zip(rows[0], ["read", "attention rollout", "dlogit/dpixels"], strict=True):
        axes.set_title(title, fontsize=9)
    for axes in rows.flat:
        axes.set(xticks=[], yticks=[])
    return figure


def entropy(record):
    """The attention entropy of each head, on a scale from one token to all tokens alike."""
    figure = Figure(figsize=(4.2, 3.4), layout="constrained")
    most = np.log(record.layer.tokens)
    title = f"attention entropy in nats (all alike: {most:.2f})"
    _heads(figure, figure.subplots(), attention_entropy(record), title, vmin=0, vmax=most)
    return figure


def gradient_norms(record):
    """The norm of the gradient of each layer's parameters, and of each head's."""
    layers = layer_gradient_norms(record)
    figure = Figure(figsize=(9, 0.16 * len(layers) + 1.2), layout="constrained")
    bars, heads = figure.subplots(1, 2, width_ratios=[2, 1])
    bars.barh(list(layers), list(layers.values()), color=BLUE)
    bars.set(xscale="log", title="gradient norm by layer")
    bars.invert_yaxis()
    bars.tick_params(axis="y", labelsize=7)
    bars.margins(y=0.01)
    bars.grid(axis="x", alpha=0.3)
    _heads(figure, heads, head_gradient_norms(record), "gradient norm by head", vmin=0)
    return figure


def _heads(figure, axes, values, title, **scale):
    """A heat map (L, h) with its numbers."""
    image = axes.imshow(values, cmap="cividis", aspect="auto", **scale)
    for (block, head), value in np.ndenumerate(values):
        dark = value < (image.norm.vmin + image.norm.vmax) / 2
        color = "white" if dark else "black"
        axes.text(head, block, f"{value:.2g}", ha="center", va="center", color=color, fontsize=8)
    L, h = values.shape
    axes.set(xticks=range(h), yticks=range(L), xlabel="head", ylabel="block", title=title)
    figure.colorbar(image, ax=axes)


def update_ratios(rows):
    """The update-to-weight ratio of every matrix over the steps, and the usual 1e-3.

    rows: a list of what `summaries.update_ratios` returned, one for each step
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(rows[0]):
        ratios = [row[name] if np.isfinite(row[name]) else np.nan for row in rows]
        style = dict(color=f"C{place % 10}", linestyle=["-", "--", ":"][place // 10 % 3])
        axes.plot(range(len(rows)), ratios, linewidth=0.9, label=name, **style)
    axes.axhline(1e-3, color=RED, linestyle="--", linewidth=1)
    axes.set(xlabel="step", yscale="log", title="size of the update / size of the weights")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=6, ncols=2)
    return figure
