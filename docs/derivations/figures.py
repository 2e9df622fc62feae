"""Draw the figures of the pages, one function a page, from what the engine computes.

    python -m docs.derivations.figures

Where it can, a figure shows the numbers of its page's example, whose code it runs.
"""

import contextlib
import io
import json
import re
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from minivit import Params
from minivit.layers import GELU, LayerNorm, PostNormBlock, PreNormBlock, Softmax
from minivit.study import trace

FOLDER = Path(__file__).parent
BLUE, RED, GREEN, GREY = "#4477aa", "#ee6677", "#228833", "#bbbbbb"  # Paul Tol's, for all eyes
WIDTH = 4.4  # inches, so that the letters are readable on a phone


def example(page, number=0):
    """The names that the code of a page's example leaves behind; the page may have several."""
    text = (FOLDER / f"{page}.md").read_text(encoding="utf-8")
    names = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(
            re.findall(r"^```python\n(import .*?)^```", text, re.DOTALL | re.MULTILINE)[number],
            names,
        )
    return names


def matrix(axes, array, title, limit):
    """A matrix as colours, white at zero and full at the limit, with its numbers."""
    array = np.atleast_2d(array)
    axes.imshow(array, cmap="RdBu_r", vmin=-1.6 * limit, vmax=1.6 * limit)  # pale, to read on
    for place, value in np.ndenumerate(array):
        text = f"{value + 0:.2g}".replace("-", "−")
        axes.text(*reversed(place), text, ha="center", va="center", fontsize=9)
    axes.set_title(title, fontsize=9)
    axes.set(xticks=[], yticks=[])


def bars(axes, title, *groups):
    """Groups of bars side by side, each a label, heights and a colour."""
    width = 0.8 / len(groups)
    for number, (label, heights, colour) in enumerate(groups):
        places = np.arange(len(heights)) + (number - (len(groups) - 1) / 2) * width
        axes.bar(places, heights, width, label=label, color=colour)
    axes.set_title(title, fontsize=9)
    axes.set_xticks(range(len(heights)))
    axes.axhline(0, color="black", linewidth=0.6)


def linear():
    names = example("linear")
    shares = [np.outer(x, dy) for x, dy in zip(names["x"], names["dy"], strict=True)]
    figure = Figure(figsize=(WIDTH, 2), layout="constrained")
    titles = ["token 0:\nx[0]ᵀ dy[0]", "+ token 1:\nx[1]ᵀ dy[1]", "= all tokens:\ndw = xᵀ dy"]
    arrays = [*shares, names["dw"]]
    for axes, array, title in zip(figure.subplots(1, 3), arrays, titles, strict=True):
        matrix(axes, array, title, 9)
    return figure


def gelu():
    x = np.linspace(-4, 4, 81)
    y, cache = GELU().forward(x)
    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.plot(x, y, color=BLUE, label="y = x · gate")
    axes.plot(x, cache["gate"], color=GREEN, label="gate")
    axes.plot(x, GELU().backward(np.ones_like(x), cache), color=RED, label="slope of y")
    axes.set(xlabel="x", ylim=(-0.4, 2))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    return figure


def layernorm():
    layer = LayerNorm(5)
    params = Params(layer.init(None, np.float64))
    x, dy = np.array([[2.0, 3, 1, 6, 4]]), np.array([[0.5, 2, -0.3, 0.4, 1.5]])
    y, cache = layer.forward(params, x)
    dx = layer.backward(params, dy, cache, params.zeros_like())
    shift = np.full(5, dy.mean())
    stretch = y[0] * (dy * y).mean()
    left = dx[0] / cache["rstd"][0]
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    above, below = figure.subplots(2, 1)
    bars(above, "a token before and after", ("x", x[0], GREY), ("y", y[0], BLUE))
    above.legend(fontsize=8)
    bars(
        below,
        "dy = shift + stretch + what is left",
        ("dy", dy[0], GREY),
        ("its shift", shift, GREEN),
        ("its stretch", stretch, BLUE),
        ("what is left", left, RED),
    )
    below.set(xlabel="feature", ylim=(-1, 3.4))
    below.legend(fontsize=8, ncols=2, loc="upper left")
    return figure


def softmax():
    names = example("softmax")
    x, dy, y, dx = (names[name][:1] for name in ("x", "dy", "y", "dx"))
    raised, _ = Softmax().forward(x + np.log(2) * np.eye(3)[2])
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    above, below = figure.subplots(2, 1)
    before, after = ("shares", y[0], GREY), ("after score 2 has risen", raised[0], BLUE)
    bars(above, "what one share gains, the others lose", before, after)
    gradients = ("dy", dy[0], GREY), ("dx", dx[0], RED)
    bars(below, "dx: how far dy lies above its average, times the share", *gradients)
    below.axhline((dy * y).sum(), color=BLUE, linestyle="--", label="average of dy")
    above.set_ylim(0, 0.7)
    above.legend(fontsize=8, loc="upper right")
    below.set(xlabel="score", ylim=(-1, 8.5))
    below.legend(fontsize=8, ncols=3, loc="upper left")
    return figure


def attention():
    names = example("attention", 1)
    scores = trace(names["layer"], names["params"], names["x"], dy=names["dy"])["scores"]
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    grid = figure.subplots(2, 3)
    for head, row in enumerate(grid):
        matrix(row[0], scores.value[0, head], "scores", 1)
        matrix(row[1], names["cache"]["att"][0, head], "att", 0.5)
        matrix(row[2], scores.gradient[0, head], "dscores · √d", 1.5)
        row[0].set_ylabel(f"head {head}\nquery token", fontsize=9)
    for axes in grid[1]:
        axes.set_xlabel("key token", fontsize=9)
    return figure


def masks():
    names = example("masks")
    figure = Figure(figsize=(WIDTH, 1.6), layout="constrained")
    scores = names["cache"]["q"][0, 0] @ names["cache"]["k"][0, 0].T
    hidden = np.triu(np.ones((3, 3), bool), 1)
    att = names["cache"]["att"][0, 0]
    datt = names["dy"][0] @ names["cache"]["v"][0, 0].T
    dscores = att * (datt - (att * datt).sum(axis=1, keepdims=True))
    arrays = {"scores": scores, "att": att, "datt": datt, "dscores": dscores}
    limits = [3, 1, 30, 3]
    for axes, (title, array), limit in zip(
        figure.subplots(1, 4), arrays.items(), limits, strict=True
    ):
        matrix(axes, array, title, limit)
        for place in np.argwhere(hidden):
            axes.add_patch(Rectangle(place[::-1] - 0.5, 1, 1, fill=False, hatch="////", alpha=0.4))
    return figure


def cross_attention():
    names = example("cross_attention")
    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    arrays = {
        "x": (names["x"][0], 4), "memory": (names["memory"][0], 4),
        "att": (names["cache"]["att"][0, 0], 1), "dx": (names["dx"][0], 4),
        "dmemory": (names["dmemory"][0], 20), "dy": (names["dy"][0], 5),
    }  # fmt: skip
    panels = figure.subplots(2, 3, width_ratios=[2, 2, 3])
    for axes, (title, (array, limit)) in zip(panels.flat, arrays.items(), strict=True):
        matrix(axes, array, title, limit)
    return figure


def embedding():
    names = example("embedding")
    figure = Figure(figsize=(WIDTH, 1.5), layout="constrained")
    arrays = {"tokens": names["tokens"].T, "dy": names["dy"][0], "dw": names["dw"]}
    for axes, (title, array) in zip(
        figure.subplots(1, 3, width_ratios=[1, 4, 4]), arrays.items(), strict=True
    ):
        matrix(axes, array, title, 12)
    return figure


def rotary():
    names = example("rotary", 1)
    figure = Figure(figsize=(WIDTH, 2), layout="constrained")
    turned, scores = figure.subplots(1, 2)
    for place, (across, up) in enumerate(names["y"][0, 0]):
        turned.plot([0, across], [0, up], color=BLUE)
        turned.annotate(f"place {place}", (across, up), fontsize=8, color=BLUE)
    turned.set(xlim=(-1.2, 1.6), ylim=(-0.3, 1.2), aspect="equal", xticks=[], yticks=[])
    turned.set_title("a pair, turned", fontsize=9)
    matrix(scores, names["scores"][0, 0], "scores", 1)
    return figure


def layer_scale():
    names = example("layer_scale")
    shares = names["dy"] * names["x"]
    figure = Figure(figsize=(WIDTH, 1.05), layout="constrained")
    titles = ["token 0:\ndy[0] · x[0]", "+ token 1:\ndy[1] · x[1]", "= all tokens:\ndw"]
    arrays = [*shares, names["dw"]]
    for axes, array, title in zip(figure.subplots(1, 3), arrays, titles, strict=True):
        matrix(axes, array, title, 16)
    return figure


def block():
    """The gradient on its way down through twelve new blocks of a kind."""
    L, D = 12, 64
    kinds = {
        "pre-norm": [PreNormBlock(D, 4, 2 * D, gain=(2 * L) ** -0.5) for _ in range(L)],
        "post-norm": [PostNormBlock(D, 4, 2 * D) for _ in range(L)],
    }
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    for axes, (kind, blocks) in zip(figure.subplots(2, 1), kinds.items(), strict=True):
        norms = np.array(list(norms_by_depth(blocks, D)))
        labels = {"dx": GREY, "straight through": BLUE, "through branches": RED}
        for values, (label, colour) in zip(norms.T, labels.items(), strict=True):
            axes.plot(range(L, -1, -1), values, "o-", markersize=3, color=colour, label=label)
        axes.set_ylabel("norm")
        axes.set_title(kind, fontsize=9)
        axes.grid(alpha=0.3)
        axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, loc="upper center")
    axes.set_xlabel("blocks below; the loss is on the right")
    return figure


def norms_by_depth(blocks, D):
    """(norm of dx, of what came straight through, of the rest) above each block and below all."""
    rng, passes = np.random.default_rng(0), []
    x = rng.normal(size=(8, 16, D))
    for layer in blocks:
        params = Params(layer.init(rng, np.float64))
        x, cache = layer.forward(params, x)
        passes.append((layer, params, cache))
    dx = rng.normal(size=x.shape)
    dx = straight = dx / np.linalg.norm(dx)
    yield 1, 1, 0
    for layer, params, cache in reversed(passes):
        grads = params.zeros_like()
        dx = layer.backward(params, dx, cache, grads)
        if isinstance(layer, PostNormBlock):
            straight = layer.ln2.backward(params["ln2"], straight, cache["ln2"], grads["ln2"])
            straight = layer.ln1.backward(params["ln1"], straight, cache["ln1"], grads["ln1"])
        yield [np.linalg.norm(part) for part in (dx, straight, dx - straight)]


def patches():
    names = example("patches")
    images, dimages = names["images"][0, :, :, 0], names["dimages"][0, :, :, 0]
    rows = names["cache"]["x"][0]
    drows = names["dy"][0] @ names["w"].T
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    grid = figure.subplots(2, 2)
    arrays = [(images, "images", 12), (rows, "→ patches", 12)]
    arrays += [(dimages, "dimages ←", 3), (drows, "dpatches", 3)]
    for axes, (array, title, limit) in zip(grid.flat, arrays, strict=True):
        matrix(axes, array, title, limit)
    for axes in grid[:, 0]:
        axes.axvline(1.5, color="black", linewidth=2)
    for axes in grid[:, 1]:
        axes.axhline(0.5, color="black", linewidth=2)
    return figure


def positions():
    places, first = example("positions"), example("positions", 1)
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    above, below = figure.subplots(2, 3, height_ratios=[2, 1])
    arrays = {"dy[0]": places["dy"][0], "+ dy[1]": places["dy"][1], "= dpos": places["dpos"]}
    for axes, (title, array) in zip(above, arrays.items(), strict=True):
        matrix(axes, array, title, 6)
    dy = first["dy"]
    arrays = {"dy[0, 0]": dy[0, 0], "+ dy[1, 0]": dy[1, 0], "= dcls": first["dcls"]}
    for axes, (title, array) in zip(below, arrays.items(), strict=True):
        matrix(axes, array, title, 6)
    return figure


def keep_tokens():
    kept, filled = example("keep_tokens"), example("keep_tokens", 1)
    figure = Figure(figsize=(WIDTH, 2), layout="constrained")
    titles = ["places", "kept: dy", "→ dx", "filled: dy", "→ dx", "dmask"]
    arrays = [kept["places"].T, kept["dy"][0], kept["dx"][0]]
    arrays += [filled["dy"][0], filled["dx"][0], filled["dmask"]]
    widths = [1, 2, 2, 2, 2, 2]
    axes = figure.subplots(1, 6, width_ratios=widths)
    for each, title, array in zip(axes, titles, arrays, strict=True):
        matrix(each, array, title, 6)
    return figure


def pool():
    mean, first = example("pool"), example("pool", 1)
    figure = Figure(figsize=(WIDTH, 1.35), layout="constrained")
    arrays = {"dy": mean["dy"], "mean: dx": mean["dx"][0], "first token: dx": first["dx"][0]}
    for axes, (title, array) in zip(figure.subplots(1, 3), arrays.items(), strict=True):
        matrix(axes, array, title, 6)
    return figure


def cross_entropy():
    names = example("cross_entropy")
    p, _ = Softmax().forward(names["logits"])
    target = np.eye(3)[names["labels"]]
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    for b, axes in enumerate(figure.subplots(2, 1)):
        title, dlogits = f"image {b}: dlogits = (p − target) / B", names["dlogits"][b]
        bars(axes, title, ("p", p[b], GREY), ("target", target[b], BLUE), ("dlogits", dlogits, RED))
    axes.legend(fontsize=8)
    axes.set_xlabel("class")
    return figure


def giou():
    """The pairs of the page's example: an arrow on each side, as long as its slope."""
    names = example("giou")
    figure = Figure(figsize=(WIDTH, 2.1), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, box, truth, score, slopes in zip(
        panels, names["boxes"], names["truth"], names["score"], names["dboxes"], strict=True
    ):
        low, high = np.minimum(box[:2], truth[:2]), np.maximum(box[2:], truth[2:])
        for (left, top, right, bottom), colour, style in (
            ([*low, *high], GREY, ":"), (truth, GREEN, "-"), (box, BLUE, "-"),
        ):  # fmt: skip
            across, down = [left, right, right, left, left], [top, top, bottom, bottom, top]
            axes.plot(across, down, style, color=colour, linewidth=1.8)
        left, top, right, bottom = box
        middle = (left + right) / 2, (top + bottom) / 2
        starts = [(left, middle[1]), (middle[0], top), (right, middle[1]), (middle[0], bottom)]
        for side, (x, y) in enumerate(starts):
            along = np.eye(2)[side % 2] * slopes[side] * 9
            axes.annotate(
                "",
                (x + along[0], y + along[1]),
                (x, y),
                arrowprops=dict(arrowstyle="->", color=RED),
            )
        axes.set(xlim=(-1, 9), ylim=(5, -1), aspect="equal", xticks=[], yticks=[])
        axes.set_title(f"GIoU {score:.2f}".replace("-", "−"), fontsize=9)
    return figure


def chain():
    """A ladder: the norm of the gradient at each step of the chain, and of the parameters'."""
    record = example("chain")["record"]
    steps = {
        "logits": "head", "pooled": "", "tokens": "ln", "blocks.0.y": "blocks", "blocks.0.x": "pos",
        "patches.y": "patches", "images": "",
    }  # fmt: skip
    rows = []
    for step, owner in steps.items():
        rows.append((step, record[step].gradient, BLUE))
        for name, gradient in reversed(list(record.grads.named())):
            if owner and name.startswith(owner):
                rows.append((name.removeprefix("blocks.0."), gradient, RED))
    figure = Figure(figsize=(WIDTH, 5.4), layout="constrained")
    axes = figure.subplots()
    names, gradients, colours = zip(*rows, strict=True)
    axes.barh(range(len(rows)), [np.linalg.norm(g) for g in gradients], color=colours)
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    for label, colour in zip(axes.get_yticklabels(), colours, strict=True):
        label.set_color(colour)
    axes.set(xscale="log", xlabel="norm of the gradient")
    axes.invert_yaxis()
    axes.set_title("blue: along the chain, red: of the parameters", fontsize=9)
    return figure


FIGURES = [
    linear, gelu, layernorm, softmax, attention, masks, cross_attention, layer_scale, block,
    patches, positions, rotary, embedding, keep_tokens, pool, cross_entropy, giou, chain,
]  # fmt: skip


def data(figure):
    """What a figure shows: its titles and texts, and the numbers of its lines, bars and images."""
    shown = []
    for axes in figure.axes:
        shown += [axes.get_title(), *(text.get_text() for text in axes.texts)]
        arrays = [line.get_xydata() for line in axes.lines]
        arrays += [bar.get_bbox().get_points() for bar in axes.patches]
        arrays += [image.get_array() for image in axes.images]
        shown += [float(f"{number:.4g}") for array in arrays for number in np.ravel(array)]
    return shown


def draw(figure, path):
    """Write a small PNG that carries its data, so that a test can tell when it is out of date."""
    buffer, about = io.BytesIO(), PngInfo()
    figure.savefig(buffer, dpi=160)
    about.add_text("Description", json.dumps(data(figure)))
    picture = Image.open(buffer).convert("RGB").quantize(48, dither=Image.Dither.NONE)
    picture.save(path, optimize=True, pnginfo=about)


if __name__ == "__main__":
    for function in FIGURES:
        draw(function(), FOLDER / "figures" / f"{function.__name__}.png")
