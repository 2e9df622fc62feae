"""The figure of a Look: what a Vision Transformer makes of a photo."""

import io
import math
from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

WIDTH, MARGIN, GAP = 14.0, 0.12, 0.2  # inches: the figure, around it, between its pictures
LINE = 0.3  # inches, of text above a picture
ACROSS, HEADS_ACROSS = 3, 8  # pictures in a row; heads, at most
INK, GREY = "#222222", "#666666"
GLOW = matplotlib.colormaps["inferno"]  # gets lighter evenly, for the colour-blind as well
MARK, OUTLINE = "#00ccff", [withStroke(linewidth=3, foreground="black")]  # no colour of a map
SHOWN = 99  # per cent of a map's values are told apart; the others are as bright as the largest


class Panel(NamedTuple):
    """A picture (H, W, 3) in [0, 1], the lines above it, and places (row, column) to mark."""

    picture: NDArray
    title: str = ""
    caption: str = ""
    marks: tuple = ()


def photo_figure(pixels, look):
    """The Figure of a Look into a photo (H, W, 3) uint8.

    Maps of the patches are enlarged by cubics. Without a class token, its maps are left out.
    """
    photo = pixels / 255
    H, W = photo.shape[:2]
    R, S = look.similarity.shape
    shares = ", ".join(f"{100 * share:.0f} %" for share in look.shares)
    gradient = brightness(np.linalg.norm(look.gradient, axis=-1))  # (H, W)
    light = np.sqrt(cv2.GaussianBlur(gradient, (0, 0), H / R / 3))[:, :, None]  # of a patch's size
    marks = (look.one, look.other)
    alike = f"cosine of their tokens: {look.similarity[look.other]:.2f} for patch 2"
    panels = [
        Panel(photo, "The photo", f"{H} × {W} pixels, {R} × {S} patches"),
        Panel(
            colours(photo, look.components),
            "Its patch tokens as colours",
            f"three principal components: {shares}",
        ),
        Panel(glow(look.similarity, H, W), "Similarity to patch 1", alike, marks),
        Panel(
            GLOW(gradient)[..., :3],
            "The gradient of that cosine",
            "at each pixel, by a hand-written backward",
            marks,
        ),
        Panel(photo * light, "The photo in that light", "bright where the gradient is large"),
    ]
    heads = []
    if look.rollout is not None:
        caption = "what has reached the class token"
        rollout = look.rollout - look.rollout.min()  # each token gets a little of all others
        panels.insert(2, Panel(glow(rollout, H, W), "Attention rollout", caption))
        heads = [Panel(glow(head, H, W)) for head in look.heads]
        title = "Where the class token looks in the last block, head by head"
        heads[0] = heads[0]._replace(title=title)
    return arranged(panels, heads, (H / R, W / S))


def colours(photo, components):
    """Components (R, S, 3) as colours over a photo: (H, W, 3).

    The first runs from blue to yellow, the second from green to red, and the third, together with
    the photo's own light, from dark to bright (CIELAB).
    """
    low, high = np.percentile(components, [100 - SHOWN, SHOWN], axis=(0, 1))
    shares = (components - low) / np.maximum(high - low, 1e-30)
    yellow, red, bright = np.moveaxis(enlarged(shares, *photo.shape[:2]), -1, 0)
    light = 0.6 * cv2.cvtColor(photo.astype(np.float32), cv2.COLOR_RGB2GRAY) + 0.4 * bright
    lab = np.dstack([20 + 75 * light, 120 * (red - 0.5), 120 * (yellow - 0.5)])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB).clip(0, 1)


def glow(values, height, width):
    """A map (R, S) as colours (height, width, 3), dark where it is small."""
    return GLOW(enlarged(brightness(values), height, width))[..., :3]


def brightness(values):
    """Values as shares, from 0 to 1, of what SHOWN per cent of them do not exceed."""
    return (values / max(np.percentile(values, SHOWN), 1e-30)).clip(0, 1)


def enlarged(values, height, width):
    """A map (R, S, ...) in [0, 1] at another size, interpolated by cubics."""
    values = values.clip(0, 1).astype(np.float32)
    return cv2.resize(values, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)


def arranged(panels, heads, patch):
    """The Figure of rows of panels, with the heads after the first; `patch` is (height, width)."""
    count = math.ceil(len(heads) / HEADS_ACROSS)
    across = math.ceil(len(heads) / count) if heads else 1
    rows = [(panels[:ACROSS], ACROSS)]
    rows += [(heads[start : start + across], across) for start in range(0, len(heads), across)]
    rows += [(panels[ACROSS:], ACROSS)]
    H, W = panels[0].picture.shape[:2]
    placed, top = [], MARGIN
    for row, across in rows:
        width = (WIDTH - 2 * MARGIN - (across - 1) * GAP) / across
        top += LINE * (bool(row[0].title) + bool(row[0].caption))
        lefts = [MARGIN + column * (width + GAP) for column in range(len(row))]
        placed += [(panel, left, top, width) for panel, left in zip(row, lefts, strict=True)]
        top += width * H / W + GAP
    figure = Figure(figsize=(WIDTH, top - GAP + MARGIN), facecolor="white")
    for panel, left, top, width in placed:
        draw(figure, panel, left, top, width, patch)
    return figure


def draw(figure, panel, left, top, width, patch):
    """Put a panel into a figure, its picture at a place and with a width in inches."""
    page_width, page_height = figure.get_size_inches()
    H, W = panel.picture.shape[:2]
    height = width * H / W
    x, y = left / page_width, 1 - top / page_height
    axes = figure.add_axes(
        (x, y - height / page_height, width / page_width, height / page_height), frameon=False
    )
    axes.imshow(panel.picture, aspect="auto", extent=(0, W, H, 0))
    axes.set(xticks=[], yticks=[])
    caption, title = dict(size=13, color=GREY), dict(size=15, color=INK, weight="bold")
    lines = [line for line in ((panel.caption, caption), (panel.title, title)) if line[0]]
    for number, (text, style) in enumerate(lines):
        figure.text(x, y + LINE * (number + 0.3) / page_height, text, **style)
    P, Q = patch
    for number, (row, column) in enumerate(panel.marks, 1):
        place = (column * Q, row * P)
        axes.add_patch(Rectangle(place, Q, P, fill=False, color=MARK, linewidth=2))
        right = (column + 1.5) * Q < 0.95 * W  # there is room for the number
        style = dict(size=15, color=MARK, weight="bold", va="center", path_effects=OUTLINE)
        style |= dict(x=(column + (1.5 if right else -0.5)) * Q, ha="left" if right else "right")
        axes.text(y=(row + 0.5) * P, s=str(number), **style)


def encoded(figure, path):
    """The figure as the bytes of a file whose ending says which format it has, such as .jpg."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=Path(path).suffix[1:], dpi=120, pil_kwargs=dict(quality=90))
    return buffer.getvalue()
