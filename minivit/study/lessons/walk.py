"""A walk through one head of one attention: forward line by line, then backward in reverse.

Lines and numbers come from a trace: the engine's own lines, the numbers of the pass. Only the
formulas and the words beside them are written, in walk_words.py.
"""

import math
import re
import textwrap
from typing import NamedTuple

import numpy as np

from ..tracing.nudge import nudge
from ..tracing.records import layers_of
from .walk_words import COURSES

WIDTH = 96  # of a line of words


class Step(NamedTuple):
    """One quantity of the walk."""

    title: str  # "forward, 5 of 8"
    formula: str  # as on paper
    words: str  # what it means, or the rule that it uses
    lines: list  # of the source, that compute it
    value: np.ndarray  # the matrix of one image and one head
    shape: str  # symbolic, "(T, d)"
    shown: list  # the first of its numbers, as lines of text
    about: str  # a sentence about them, or ""
    nudged: str  # a sentence about one number that was moved, or ""


def walk(trace, block, head, seed=0):
    """Yield the Steps through one head of the attention of a ViT's block, for the first image.

    block, head: count from 0. seed: draws the numbers that are moved.
    """
    return walk_through(trace, f"blocks.{block}.attn", head, seed)


def walk_through(trace, path, head, seed=0):
    """Yield the Steps through one head of any attention, for the first image.

    path: of its layer, such as "reader.decoder.blocks.0.cross"
    Errors: ValueError for an attention that turns queries and keys by their places
    """
    rng, layer = np.random.default_rng(seed), dict(layers_of(trace.layer))[path]
    if getattr(layer, "rotary", False):
        raise ValueError('the walk knows no rotary positions; expected positions="sincos1d"')
    course, hidden, first = COURSES[type(layer)], None, 0
    if "seen" in course.forward:
        hidden = np.isneginf(_of_head(_record(trace, path, "seen").value, head))
    if "memory" in course.forward:
        first = _first_patch(trace, path, head, course.corner[1])

    def step(title, quantity, words, value, nudged=""):
        lines, shape = _lines(trace, path, course, quantity), course.shapes[quantity.lstrip("d")]
        starts = [first if side == "S" else 0 for side in re.findall(r"\w", shape)]
        shown = corner(value, *course.corner, starts, course.of_letter)
        about = _about_hidden(quantity, value, hidden) + _about_patches(starts, course.corner)
        return Step(title, *words, lines, value, shape, shown, about, nudged)

    for number, (name, words) in enumerate(course.forward.items(), 1):
        value = _of_head(_record(trace, path, name).value, head)
        yield step(f"forward, {number} of {len(course.forward)}", name, words, value)
    for number, (name, words) in enumerate(course.backward.items(), 1):
        record = _record(trace, path, name)
        value = _of_head(record.gradient, head)
        index = _index(rng, value, course, hidden if name == "scores" else None)
        place = (0, *index) if record.value.ndim == 3 else (0, head, *index)
        slope, gradient = nudge(trace, record, place)
        nudged = (
            f"A check: moving {name}{list(index)} a little up and down changes the loss "
            f"with a slope of {slope:.6g}; the backward says {gradient + 0.0:.6g}."  # no -0
        )
        title = f"backward, {number} of {len(course.backward)}"
        yield step(title, f"d{name}", words, value, nudged)


def _record(trace, path, name):
    """The Record of a quantity: `scores` before hiding, `seen` after it."""
    versions = trace.versions(f"{path}.{'scores' if name == 'seen' else name}")
    if name == "scores":
        versions = [record for record in versions if not record.source.startswith("hide_")]
    return versions[-1]


def _of_head(array, head):
    """The matrix of the first image, and of that head, of (B, T, ·) or (B, h, T, ·)."""
    return array[0, head] if array.ndim == 4 else array[0]


def _index(rng, gradient, course, hidden):
    """The place of the number that is moved: of a reader, a hidden one or one that matters."""
    if not course.of_letter:
        return tuple(int(rng.integers(size)) for size in gradient.shape)
    sizes = np.abs(gradient)
    places = np.argwhere(sizes >= sizes.max() / 10 if hidden is None else hidden)
    return tuple(rng.choice(places).tolist())


def _first_patch(trace, path, head, columns):
    """Which patch is the first that is shown, so that the one that matters most is in the middle.

    The letter's tokens are those that have a gradient.
    """
    weights = np.abs(_record(trace, path, "y").gradient[0]).sum(axis=1)  # (T,)
    looked = weights @ _of_head(_record(trace, path, "att").value, head)  # (S,)
    return int(np.clip(looked.argmax() - columns // 2, 0, max(0, len(looked) - columns)))


def _lines(trace, path, course, name):
    """The lines of the source that compute an array of the attention, in order."""
    names = [f"{path}.{part}" for part in course.lines.get(name, "").split()]
    lines = [record.source for part in names for record in trace.versions(part)]
    if name == "dq":  # of the lines of dscores, only the division by √d
        lines = [line for line in lines if "softmax.backward" not in line]
    if name == "scores":
        lines = [line for line in lines if not line.startswith("hide_")]
    return list(dict.fromkeys(lines))


def _about_hidden(name, value, hidden):
    """What is said of the hidden places, of those arrays that are to be zero there."""
    if hidden is None or name not in ("att", "dseen", "dscores"):
        return ""
    return f"Exactly 0 at {np.count_nonzero(value[hidden] == 0)} of {hidden.sum()} hidden places."


def _about_patches(starts, size):
    """What is said of a matrix that is not shown from its first patch on."""
    for start, count in zip(starts, size, strict=True):
        if start:
            return f"Shown are patches {start} to {start + count - 1}, where the letter looked."
    return ""


def as_text(step):
    """A Step in Markdown that also reads well in a terminal."""
    size = "×".join(map(str, step.value.shape))
    parts = [
        f"## {step.title}: {step.formula}   {step.shape} = {size}",
        textwrap.fill(step.words, WIDTH),
        "\n".join(f"    {line}" for line in step.lines),
        "\n".join(f"    {row}" for row in step.shown),
        textwrap.fill(step.about, WIDTH),
        textwrap.fill(step.nudged, WIDTH),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def corner(matrix, rows=4, columns=6, starts=(0, 0), exact=False):
    """The first numbers of a matrix as lines of text, a common power of ten apart.

    starts: the row and the column with which they begin
    exact:  whether an exact zero is written as 0, as no number is that is only small
    """
    top, left = starts
    shown = matrix[top : top + rows, left : left + columns]
    largest = np.abs(shown[np.isfinite(shown)]).max(initial=0)
    power = math.floor(math.log10(largest)) if largest else 0
    power = power if not -2 <= power <= 2 else 0

    def text(number):
        return f"{0:9}" if exact and number == 0 else f"{number / 10.0**power:9.4f}"

    before, after = "…" * (left > 0), "  …" * (matrix.shape[1] > left + columns)
    lines = ["        …"] * (top > 0)
    lines += [before + "".join(map(text, row)) + after for row in shown]
    lines += ["        …"] * (matrix.shape[0] > top + rows)
    return lines + ([f"all times 10^{power}"] if power else [])
