"""The architecture of a Vision Transformer as a picture: the model, a block, one attention."""

from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon

from .figures import draw_grid

LEARNED, FIXED, ZOOM = "#99ccee", "#e4e4e4", "#ffcc99"  # has parameters, has none, drawn below
INK, GREY = "#222222", "#777777"
WIDTH, LEVEL, MARGIN = 14.6, 2.5, 0.15  # inches: the figure, from row to row, beside the rows
WIDE, TALL, ARROW, PICTURE = 1.75, 0.95, 0.9, 1.0  # a box, an arrow of the block, the image
POOLS = {"mean": "mean of all", "cls": "the first token", "patch_mean": "mean of patches"}


class Box(NamedTuple):
    """A step: its name, what it computes, its colour, and the shape of what leaves it."""

    name: str
    formula: str
    color: str
    shape: str


def architecture(model, image):
    """Draw a ViT at three depths of zoom, with the shapes for one image; return the Figure.

    model: a ViT; layer scale, dropout and a layer before the head are left out of the picture
    image: (H, W, C) of the model's size, floats in [0, 1]
    """
    (H, W), C = model.config["image_size"], model.config["channels"]
    figure = Figure(figsize=(WIDTH, 3 * LEVEL), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(0, 3 * LEVEL))
    axes.axis("off")
    top, middle, bottom = (LEVEL * (row + 0.42) for row in (2, 1, 0))
    for y, words in ((top, "The model"), (middle, "One block"), (bottom, "Its attention")):
        axes.text(MARGIN, y + 1.28, words, size=14, weight="bold", color=INK, va="center")
    draw_legend(axes)

    place = (
        MARGIN / WIDTH,
        (top - PICTURE / 2) / (3 * LEVEL),
        PICTURE / WIDTH,
        PICTURE / 3 / LEVEL,
    )
    shown = figure.add_axes(place)
    shown.imshow(image, cmap="gray", vmin=0, vmax=1, extent=(0, W, H, 0))
    draw_grid(shown, H, W, (H // model.patches.rows, W // model.patches.columns))
    shown.axis("off")

    tokens = f"{model.tokens} × {model.config['dim']}"
    blocks = draw_row(axes, top, MARGIN + PICTURE, f"{H} × {W} × {C}", of_model(model))
    draw_zoom(axes, blocks, top, middle)
    attention = draw_block(axes, middle, tokens, of_block(model), model.config["norm"] == "post")
    draw_zoom(axes, attention, middle, bottom)
    draw_row(axes, bottom, MARGIN, tokens, of_attention(model))
    return figure


def of_model(model):
    """The Boxes of a ViT."""
    sizes, N, T = model.config, model.patches.count, model.tokens
    D, K = sizes["dim"], sizes["classes"]
    tokens = f"{T} × {D}"
    boxes, pixels = [], model.patches.linear.d_in
    for conv in model.stem.convs if sizes["stem"] else []:
        gated = f"{conv.kernel} × {conv.kernel},\nthen a gate"
        grid = f"{conv.rows} × {conv.columns} × {conv.linear.d_out}"
        boxes.append(Box("convolution", gated, LEARNED, grid))
    boxes.append(Box("patches", f"cut, x w + b\nw: {pixels} × {D}", LEARNED, f"{N} × {D}"))
    if T > N:
        boxes.append(Box("class token", "one more token,\nthe first", LEARNED, tokens))
    if sizes["positions"] not in (None, "rotary"):  # which is in the blocks
        color = LEARNED if sizes["positions"] == "learned" else FIXED
        boxes.append(Box("positions", f"x + pos\npos: {tokens}", color, tokens))
    boxes.append(Box(f"{sizes['depth']} blocks", "attention, then\nan MLP, each", ZOOM, tokens))
    if sizes["norm"] == "pre" and not sizes["norm_pooled"]:
        boxes.append(Box("layer norm", "token by token", LEARNED, tokens))
    boxes.append(Box("pool", POOLS[sizes["pool"]], FIXED, f"{D}"))
    if sizes["norm"] == "pre" and sizes["norm_pooled"]:
        boxes.append(Box("layer norm", "of this vector", LEARNED, f"{D}"))
    if K:
        boxes.append(Box("head", f"x w + b\nw: {D} × {K}", LEARNED, f"{K} logits"))
    return boxes


def of_block(model):
    """The Boxes of the two branches of a block."""
    D, F, h = (model.config[name] for name in ("dim", "mlp_dim", "heads"))
    tokens = f"{model.tokens} × {D}"
    norm = Box("layer norm", "token by token", LEARNED, tokens)
    attention = Box("attention", f"tokens talk,\n{h} heads", ZOOM, tokens)
    mlp = Box("MLP", f"each thinks alone,\n{D} → {F} → {D}", LEARNED, tokens)
    if model.config["norm"] == "post":
        return [[attention, norm], [mlp, norm]]
    return [[norm, attention], [norm, mlp]]


def of_attention(model):
    """The Boxes of an attention."""
    T, D, h = model.tokens, model.config["dim"], model.config["heads"]
    scores, mixes = f"{h} × {T} × {T}", f"{h} × {T} × {D // h}"
    return [
        Box("queries, keys, values", f"x w + b\nw: {D} × {3 * D}", LEARNED, f"3 × {mixes}"),
        Box("scores", "q kᵀ / √d", FIXED, scores),
        Box("softmax", "each row sums\nto 1", FIXED, scores),
        Box("mix", "att v", FIXED, mixes),
        Box("join and project", f"x w + b\nw: {D} × {D}", LEARNED, f"{T} × {D}"),
    ]


def draw_row(axes, y, start, shape, boxes):
    """Draw boxes from left to right, arrows between them; return the centre of the zoomed one."""
    step = (WIDTH - start - 0.1) / (len(boxes) + 0.45)
    wide, x, zoomed = min(WIDE, 0.62 * step), start, None
    for number, box in enumerate(boxes):
        centre = start + step * (number + 0.7)
        draw_arrow(axes, x, centre - wide / 2, y, shape)
        draw_box(axes, centre, y, wide, box)
        zoomed = centre if box.color == ZOOM else zoomed
        x, shape = centre + wide / 2, box.shape
    draw_arrow(axes, x, x + step - wide, y, shape)
    return zoomed


def draw_block(axes, y, shape, branches, post):
    """Draw a block with the ways past its branches; return the centre of its attention."""
    x, zoomed = MARGIN, None
    for boxes in branches:
        fork, before_sum = x + 0.35, 1 if post else 2  # boxes
        for number, box in enumerate(boxes, 1):
            draw_arrow(axes, x, x + ARROW, y, shape)
            centre = x + ARROW + WIDE / 2
            draw_box(axes, centre, y, WIDE, box)
            zoomed = centre if box.color == ZOOM else zoomed
            x = centre + WIDE / 2
            if number == before_sum:
                draw_arrow(axes, x, x + 0.5, y, "")
                draw_sum(axes, fork, x + 0.64, y)
                x += 0.78
    draw_arrow(axes, x, x + ARROW, y, shape)
    return zoomed


def draw_sum(axes, fork, x, y):
    """A plus at x, and the way to it that leaves the stream at the fork."""
    past = y + 0.8
    axes.plot([fork, fork, x, x], [y, past, past, y + 0.14], color=INK, linewidth=1.3)
    axes.plot(x, y + 0.18, marker="v", color=INK, markersize=5)
    axes.plot(x, y, marker="o", markersize=17, color="white", markeredgecolor=INK)
    axes.text(x, y - 0.01, "+", size=15, ha="center", va="center", color=INK)


def draw_box(axes, centre, y, wide, box):
    corner, style = (centre - wide / 2, y - TALL / 2), "round,pad=0,rounding_size=0.1"
    look = dict(boxstyle=style, facecolor=box.color, edgecolor=INK, linewidth=0.8)
    axes.add_patch(FancyBboxPatch(corner, wide, TALL, **look))
    words = dict(ha="center", va="center", color=INK)
    axes.text(centre, y + 0.26, box.name, size=10 if len(box.name) < 18 else 8.5, **words)
    axes.text(centre, y - 0.13, box.formula, size=8.5, linespacing=1.25, **words)


def draw_arrow(axes, left, right, y, shape):
    """An arrow, and under it the shape of what passes there."""
    look = dict(arrowstyle="-|>", color=INK, shrinkA=0, shrinkB=0)
    axes.annotate("", (right, y), (left, y), arrowprops=look)
    axes.text((left + right) / 2, y - 0.62, shape, size=8.5, color=GREY, ha="center")


def draw_zoom(axes, centre, above, below):
    """A wedge from a box to the row that shows what is in it, and a ground for that row."""
    top, low, end = above - TALL / 2, below + 1.05, below - 0.8
    left, right = 0.1, WIDTH - 0.1
    wedge = [(centre - 0.6, top), (centre + 0.6, top), (right, low), (left, low)]
    ground = [(left, low), (right, low), (right, end), (left, end)]
    for corners, alpha in ((wedge, 0.22), (ground, 0.12)):
        axes.add_patch(Polygon(corners, facecolor=ZOOM, alpha=alpha, edgecolor="none", zorder=0))


def draw_legend(axes):
    meanings = {LEARNED: "has parameters", FIXED: "has none", ZOOM: "drawn below"}
    for number, (color, words) in enumerate(meanings.items()):
        x, y = WIDTH - 5.2 + 1.75 * number, 3 * LEVEL - 0.2
        axes.plot(x, y, marker="s", markersize=9, color=color, markeredgecolor=INK)
        axes.text(x + 0.15, y, words, size=9, va="center", color=INK)
