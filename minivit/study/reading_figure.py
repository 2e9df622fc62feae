"""What a reader looked at for each letter that it wrote, and which pixels would change it."""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from .figures import BLUE, RED


class Letters(NamedTuple):
    """For each of the T letters of a reading, the end among them, what is behind it.

    names:     the letters
    attention: (T, H, W), the share of its attention that a pixel's patch got: the mean over the
               heads of the decoder's last block
    gradients: (T, H, W), how much the letter's logit grows with each number that the model reads
    """

    names: list[str]
    attention: np.ndarray
    gradients: np.ndarray


def letters(transcriber, image):
    """What is behind each letter that is read in a raw image (H, W, C), as Letters."""
    model, params = transcriber.model, transcriber.params
    (reading,) = transcriber.transcribe(image[None])
    words, (H, W) = transcriber.vocabulary, model.config["image_size"]
    (numbers,) = words.encode([reading.text], model.config["longest"])
    T = len(reading.text) + 1
    x = transcriber.normalize(image[None]).astype(params.flat.dtype)
    logits, cache = model.forward(params, x, tokens=numbers[None, :T])
    att = cache["decoder"]["blocks"][-1]["cross"]["att"][0].mean(axis=0)  # (T, N)
    grid = att.reshape(T, model.patches.rows, model.patches.columns)
    attention = grid.repeat(H // grid.shape[1], axis=1).repeat(W // grid.shape[2], axis=2)
    gradients = []
    for place in range(T):
        dlogits = np.zeros_like(logits)
        dlogits[0, place, numbers[1 + place]] = 1
        dimages = model.backward(params, dlogits, cache, params.zeros_like())
        gradients.append(dimages[0].sum(axis=-1))
    return Letters([*reading.text, "end"], attention, np.stack(gradients))


def letters_figure(transcriber, image):
    """A row for each letter that is read in a raw image (H, W, C): attention, and gradient.

    Left, blue: where the decoder looked as it wrote the letter. Right, red: a lighter pixel would
    make the letter surer; blue: less sure. The colours are those of the root of the gradient, which
    shows the small ones too.
    """
    names, attention, gradients = letters(transcriber, image)
    H, W = image.shape[:2]
    where = dict(extent=(0, W, H, 0), interpolation="nearest")
    height = 8 * H / W / 2 + 0.25
    figure = Figure(figsize=(8, height * len(names) + 0.3), layout="constrained")
    grid = figure.subplots(len(names), 2, squeeze=False)
    roots = np.sign(gradients) * np.sqrt(np.abs(gradients))
    for row, name in enumerate(names):
        looked, moved = grid[row]
        looked.imshow(image.mean(axis=-1), cmap="gray_r", vmin=0, vmax=255, **where)
        shade = np.zeros((H, W, 4))
        shade[...] = [*(int(BLUE[i : i + 2], 16) / 255 for i in (1, 3, 5)), 0]
        shade[..., 3] = 0.8 * attention[row] / attention[row].max()
        looked.imshow(shade, **where)
        limit = np.abs(roots[row]).max() or 1
        moved.imshow(roots[row], cmap="bwr", vmin=-limit, vmax=limit, **where)
        centres = np.arange(W) + 0.5, np.arange(H) + 0.5
        moved.contour(*centres, image.mean(axis=-1), levels=[127], colors="#555", linewidths=0.5)
        looked.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=13)
        for axes in (looked, moved):
            axes.set(xticks=[], yticks=[])
    grid[0, 0].set_title("where the decoder looked", fontsize=9)
    grid[0, 1].set_title("red: lighter pixels make it surer; blue: less sure", fontsize=9)
    return figure


def readings_figure(images, readings, texts, columns=3):
    """A sheet of raw images (n, H, W, C), and what is read in each, red where it is wrong."""
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(columns * 2.8, rows * 0.95), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image, reading, text in zip(grid.flat, images, readings, texts, strict=False):
        axes.imshow(image.mean(axis=-1), cmap="gray_r", vmin=0, vmax=255)
        right = reading.text == text
        title = f"{reading.text}  {reading.probability:.0%}"
        title = title if right else f"{title}, not {text}"
        axes.set_title(title, fontsize=8, color="black" if right else RED, parse_math=False)
    return figure
