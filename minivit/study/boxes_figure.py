"""Boxes drawn on images, with their confidence; and the gradient of a box's sides at the pixels."""

import math

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..layers import Softmax
from .figures import BLUE, RED

SIDES = ("left", "top", "right", "bottom")
GREEN = "#228833"


def sheet(images, detections, classes, objects=None, columns=6, least=0.5, size=1.9):
    """A sheet of images (H, W) or (H, W, C) uint8, with the detections of each.

    objects: what is really there, for each image (M, 5), or None if nobody knows. A detection that
             has the class of an object and its box, with an IoU of a half or more, is green; others
             are red; objects that were not found are dotted
    least:   confidence from which a detection is drawn
    """
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    figure = Figure(figsize=(columns * size, rows * size * 1.02), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for number, (axes, image) in enumerate(zip(grid, images, strict=False)):
        H, W = image.shape[:2]
        picture = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, extent=(0, W, H, 0))
        true = None if objects is None else objects[number]
        drawn = detections[number][detections[number][:, 5] >= least]
        right, missed = matched(drawn, true) if true is not None else (None, [])
        for place, (label, *box, confidence) in enumerate(drawn):
            colour = BLUE if right is None else (GREEN if right[place] else RED)
            draw_box(axes, box, colour)
            text = f"{classes[int(label)]} {confidence:.0%}"
            below = box[1] < 0.08 * H
            axes.text(
                box[0], box[3] if below else box[1], text, color="white", fontsize=6,
                va="top" if below else "bottom",
                bbox=dict(facecolor=colour, edgecolor="none", pad=0.6),
            )  # fmt: skip
        for _, *box in missed:
            draw_box(axes, box, RED, linestyle=":")
    return figure


def draw_box(axes, box, colour, **style):
    left, top, right, bottom = box
    corner, width, height = (left, top), right - left, bottom - top
    axes.add_patch(
        Rectangle(corner, width, height, fill=False, edgecolor=colour, linewidth=1.3, **style)
    )


def matched(detections, objects, least=0.5):
    """Which detections (M, 6) are right, each object counting once, and the objects not found."""
    left = list(range(len(objects)))
    right = []
    for label, *box, _ in detections:
        overlaps = [iou(np.array(box), objects[i, 1:]) * (objects[i, 0] == label) for i in left]
        best = int(np.argmax(overlaps)) if left else None
        right.append(best is not None and overlaps[best] >= least)
        if right[-1]:
            del left[best]
    return right, objects[left]


def iou(box, other):
    """The intersection over union of two boxes (4,)."""
    low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
    both = np.clip(high - low, 0, None).prod()
    return both / ((box[2:] - box[:2]).prod() + (other[2:] - other[:2]).prod() - both)


def side_gradients(finder, image, patch):
    """The gradients of the four sides of the box of a patch, at the normalised pixels.

    image: (H, W, C) uint8; patch: the patch's number
    Returns (4, H, W, C): how far each side moves, in pixels, with each number that the model reads.
    """
    model, params = finder.model, finder.params
    x = finder.normalize(image[None]).astype(params.flat.dtype)
    answer, cache = model.forward(params, x)
    gradients = []
    for side in range(4):
        danswer = np.zeros_like(answer)
        danswer[0, patch, answer.shape[-1] - 4 + side] = 1
        dimages = model.backward(params, danswer, cache, params.zeros_like())
        gradients.append(dimages[0])
    return np.stack(gradients)


def most_confident(finder, image):
    """The number of the patch that is surest of an object, the object's class, box, confidence."""
    answer = finder.logits(image[None])[0].astype(np.float64)  # (N, K + 5)
    probabilities, _ = Softmax().forward(answer[:, :-4])
    sure = probabilities[:, :-1]  # (N, K)
    patch, label = np.unravel_index(sure.argmax(), sure.shape)
    return int(patch), int(label), answer[patch, -4:], float(sure[patch, label])


def side_figure(finder, image):
    """An image (H, W, C) uint8, the surest box in it, and what at the pixels moves each side.

    Red: a lighter pixel moves the side to the right or down; blue: to the left or up. The colours
    are those of the root of the gradient, which shows the small ones too. The patch that answers is
    dotted; all panels show what is around the box.
    """
    patch, label, box, confidence = most_confident(finder, image)
    gradients = side_gradients(finder, image, patch).sum(axis=-1)  # (4, H, W)
    H, W = image.shape[:2]
    P, grey = finder.model.config["patch_size"], image.mean(axis=-1)
    row, column = divmod(patch, finder.model.patches.columns)
    place = [column * P, row * P, (column + 1) * P, (row + 1) * P]
    roots = np.sign(gradients) * np.sqrt(np.abs(gradients))
    limit = np.abs(roots).max()
    reach = 1.5 * P + max(box[2:] - box[:2]) / 2
    middle = (box[:2] + box[2:]) / 2
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    for number, axes in enumerate(figure.subplots(1, 5)):
        axes.set_axis_off()
        where = dict(extent=(0, W, H, 0), interpolation="nearest")
        if number == 0:
            axes.imshow(grey, cmap="gray", vmin=0, vmax=255, **where)
            draw_box(axes, box, GREEN)
            axes.set_title(f"{finder.classes[label]}, {confidence:.0%} sure", fontsize=9)
        else:
            axes.imshow(roots[number - 1], cmap="bwr", vmin=-limit, vmax=limit, **where)
            centres = np.arange(W) + 0.5, np.arange(H) + 0.5
            axes.contour(*centres, grey, levels=[127], colors="#555555", linewidths=0.6)
            line = axes.axvline if number % 2 else axes.axhline
            line(box[number - 1], color=GREEN, linewidth=1.4)
            axes.set_title(f"the {SIDES[number - 1]} side", fontsize=9)
        draw_box(axes, place, BLUE, linestyle=":")
        axes.set(xlim=np.clip([middle[0] - reach, middle[0] + reach], 0, W))
        axes.set(ylim=np.clip([middle[1] + reach, middle[1] - reach], 0, H))
    return figure
