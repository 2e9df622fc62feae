"""The architecture of a Vision Transformer as a picture: the model, a block, one attention."""

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon
from numpy.typing import NDArray

from .figures import draw_grid

LEARNED, FIXED, ZOOM = "#99ccee", "#e4e4e4", "#ffcc99"  # has parameters, has none, drawn below
INK, GREY = "#222222", "#777777"
WIDTH, TALL, LEVEL = 14.6, 0.95, 2.5  # the figure's width; a box's height; from row to row
POOLS = {"mean": "mean of all", "cls": "the first token", "patch_mean": "mean of patches"}


class Box(NamedTuple):
    """A step: its name, what it computes, its colour, and the shape of what leaves it."""

    name: str
    formula: str
    color: str
    shape: str


def architecture(model, image: NDArray) -> Figure:
    """Draw a ViT at three depths of zoom, with the shapes for one image.

    model: a ViT; layer scale, dropout and a layer before the head are left out of the picture
    image: (H, W, C) of the model's size, floats in [0, 1]
    """
    sizes = model.config
    (H, W), C, D, L = sizes["image_size"], sizes["channels"], sizes["dim"], sizes["depth"]
    P, h, F, K = sizes["patch_size"], sizes["heads"], sizes["mlp_dim"], sizes["classes"]
    N, T, d = model.patches.count, model.tokens, D // h
    tokens, scores, mixes = f"{T} × {D}", f"{h} × {T} × {T}", f"{h} × {T} × {d}"

    whole = [Box("patches", f"cut, x w + b\nw: {P * P * C} × {D}", LEARNED, f"{N} × {D}")]
    if T > N:
        whole.append(Box("class token", "one more token,\nthe first", LEARNED, tokens))
    if sizes["positions"]:
        kind = LEARNED if sizes["positions"] == "learned" else FIXED
        whole.append(Box("positions", f"x + pos\npos: {tokens}", kind, tokens))
    whole.append(Box(f"{L} blocks", "attention, then\nan MLP, each", ZOOM, tokens))
    norm, post = Box("layer norm", "token by token", LEARNED, tokens), sizes["norm"] == "post"
    whole += [] if post or sizes["norm_pooled"] else [norm]
    whole.append(Box("pool", POOLS[sizes["pool"]], FIXED, f"{D}"))
    if sizes["norm_pooled"] and not post:
        whole.append(norm._replace(shape=f"{D}"))
    if K:
        whole.append(Box("head", f"x w + b\nw: {D} × {K}", LEARNED, f"{K} logits"))

    attention = Box("attention", f"tokens talk,\n{h} heads", ZOOM, tokens)
    mlp = Box("MLP", f"each thinks alone,\n{D} → {F} → {D}", LEARNED, tokens)
    branches = [[attention, norm], [mlp, norm]] if post else [[norm, attention], [norm, mlp]]
    heads = [
        Box("queries, keys, values", f"x w + b\nw: {D} × {3 * D}", LEARNED, f"3 × {mixes}"),
        Box("scores", "q kᵀ / √d", FIXED, scores),
        Box("softmax", "each row sums\nto 1", FIXED, scores),
        Box("mix", "att v", FIXED, mixes),
        Box("join and project", f"x w + b\nw: {D} × {D}", LEARNED, tokens),
    ]

    figure = Figure(figsize=(WIDTH, 3 * LEVEL), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(0, 3 * LEVEL))
    axes.axis("off")
    top, middle, bottom = (LEVEL * (row + 0.42) for row in (2, 1, 0))
    for y, words in ((top, "The model"), (middle, "One block"), (bottom, "Its attention")):
        axes.text(0.15, y + 1.28, words, size=14, weight="bold", color=INK, va="center")
    side = 1.1  # of the picture
    shown = figure.add_axes(
        (0.15 / WIDTH, (top - side / 2) / (3 * LEVEL), side / WIDTH, side / 3 / LEVEL)
    )
    shown.imshow(image, cmap="gray", vmin=0, vmax=1, extent=(0, W, H, 0))
    draw_grid(shown, H, W, P)
    shown.axis("off")
    centres = draw_row(axes, top, 0.15 + side, f"{H} × {W} × {C}", whole)
    blocks = centres[[box.color for box in whole].index(ZOOM)]
    inside = draw_block(axes, middle, tokens, branches, post)
    zoom(axes, blocks, top, middle)
    draw_row(axes, bottom, 0.15, tokens, heads)
    zoom(axes, inside, middle, bottom)
    legend(axes)
    return figure


def draw_row(axes: Axes, y: float, start: float, shape: str, boxes: list[Box]) -> list[float]:
    """Draw boxes from left to right with arrows between them; return their centres."""
    gap = (WIDTH - start - 0.1) / (len(boxes) + 0.45)
    wide = min(1.75, 0.62 * gap)
    centres = [start + gap * (number + 0.7) for number in range(len(boxes))]
    left = start
    for centre, box in zip(centres, boxes, strict=True):
        arrow(axes, left, centre - wide / 2, y, shape)
        draw_box(axes, centre, y, wide, box)
        left, shape = centre + wide / 2, box.shape
    arrow(axes, left, left + gap - wide, y, shape)
    return centres


def draw_block(axes: Axes, y: float, shape: str, branches: list, post: bool) -> float:
    """Draw a block with its two ways past the branches; return the centre of its attention."""
    wide, gap, x, inside = 1.75, 0.9, 0.15, 0.0
    for boxes in branches:
        fork, sum_after = x + 0.35, 1 if post else 2  # boxes
        for number, box in enumerate(boxes, 1):
            arrow(axes, x, x + gap, y, shape)
            centre = x + gap + wide / 2
            draw_box(axes, centre, y, wide, box)
            inside = centre if box.color == ZOOM else inside
            x = centre + wide / 2
            if number == sum_after:
                arrow(axes, x, x + 0.5, y, "")
                x += 0.64
                draw_sum(axes, fork, x, y)
                x += 0.14
    arrow(axes, x, x + gap, y, shape)
    return inside


def draw_sum(axes: Axes, fork: float, x: float, y: float) -> None:
    """A plus at x, and the way to it that leaves the stream at the fork."""
    past = y + 0.8
    axes.plot([fork, fork, x, x], [y, past, past, y + 0.14], color=INK, linewidth=1.3)
    axes.plot(x, y + 0.18, marker="v", color=INK, markersize=5)
    axes.plot(x, y, marker="o", markersize=17, color="white", markeredgecolor=INK)
    axes.text(x, y - 0.01, "+", size=15, ha="center", va="center", color=INK)


def draw_box(axes: Axes, centre: float, y: float, wide: float, box: Box) -> None:
    corner = (centre - wide / 2, y - TALL / 2)
    style = dict(boxstyle="round,pad=0,rounding_size=0.1", facecolor=box.color, edgecolor=INK)
    axes.add_patch(FancyBboxPatch(corner, wide, TALL, linewidth=0.8, **style))
    words = dict(ha="center", va="center", color=INK)
    axes.text(centre, y + 0.26, box.name, size=10 if len(box.name) < 18 else 8.5, **words)
    axes.text(centre, y - 0.13, box.formula, size=8.5, linespacing=1.25, **words)


def arrow(axes: Axes, left: float, right: float, y: float, label: str) -> None:
    axes.annotate(
        "",
        (right, y),
        (left, y),
        arrowprops=dict(arrowstyle="-|>", color=INK, shrinkA=0, shrinkB=0),
    )
    axes.text((left + right) / 2, y - 0.62, label, size=8.5, color=GREY, ha="center")


def zoom(axes: Axes, centre: float, above: float, below: float) -> None:
    """A wedge from a box to the row that shows what is in it."""
    top, low = above - TALL / 2, below + 1.05
    corners = [(centre - 0.6, top), (centre + 0.6, top), (WIDTH - 0.1, low), (0.1, low)]
    axes.add_patch(Polygon(corners, facecolor=ZOOM, alpha=0.22, edgecolor="none", zorder=0))
    frame = [(0.1, low), (WIDTH - 0.1, low), (WIDTH - 0.1, below - 0.8), (0.1, below - 0.8)]
    axes.add_patch(Polygon(frame, facecolor=ZOOM, alpha=0.12, edgecolor="none", zorder=0))


def legend(axes: Axes) -> None:
    for number, (color, words) in enumerate(
        [(LEARNED, "has parameters"), (FIXED, "has none"), (ZOOM, "drawn below")]
    ):
        x, y = WIDTH - 5.2 + 1.75 * number, 3 * LEVEL - 0.2
        axes.plot(x, y, marker="s", markersize=9, color=color, markeredgecolor=INK)
        axes.text(x + 0.15, y, words, size=9, va="center", color=INK)
