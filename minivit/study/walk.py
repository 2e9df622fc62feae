"""A walk through one head of one attention: forward line by line, then backward in reverse.

Everything comes from a trace: the lines are the engine's own, the numbers those of the pass. Only
the formulas and the words beside them are written here.
"""

import math
import textwrap
from typing import NamedTuple

import numpy as np

from .nudge import nudge

WIDTH = 96  # of a line in the terminal
FORWARD = {  # the name in the source: formula, what it means
    "x": ("x", "What comes in: a row of D numbers for each token, normalised by ln1."),
    "q": ("q = x wq + bq", "Every token asks: its query, d numbers in this head."),
    "k": ("k = x wk + bk", "Every token offers a key, for others' queries to fit."),
    "v": ("v = x wv + bv", "And a value: what is taken from it by those whose query fits."),
    "scores": (
        "scores = q kᵀ / √d",
        "Row i, column j: how well token i's query fits token j's key. The root keeps the numbers "
        "as large for wide heads as for narrow ones.",
    ),
    "att": (
        "att = softmax(scores)",
        "Each row becomes shares that sum to one: whom token i looks at.",
    ),
    "mix": ("mix = att v", "Each token gets the mix of all values, by its shares."),
    "y": (
        "y = [mix of head 1, mix of head 2, …] wo + bo",
        "The heads' mixes side by side, projected back to the width of the stream.",
    ),
}
BACKWARD = {  # whose gradient it is: formula, the rule that it uses
    "y": ("dy", "What the layers above hand down: how the loss changes with each number of y."),
    "mix": (
        "dmix = dy woᵀ, the columns of this head",
        "A linear map y = x w hands back dx = dy wᵀ: each input gets what all its outputs got, by "
        "the weights through which it reached them.",
    ),
    "v": (
        "dv = attᵀ dmix",
        "A product c = a b hands back db = aᵀ dc: value j went to every token i with the share "
        "att[i, j], so it collects from all of them.",
    ),
    "att": (
        "datt = dmix vᵀ",
        "A product c = a b hands back da = dc bᵀ: a larger share of token j brings more of v[j], "
        "which is worth dmix[i] · v[j] to token i.",
    ),
    "scores": (
        "dscores = att · (datt − Σ datt att)",
        "Softmax: shares sum to one, so a score matters only by what its share is worth above the "
        "average of its row, times that share; every row sums to zero.",
    ),
    "q": (
        "dq = dscores k / √d",
        "The product again: token i's query collects the keys that it met, each by how much the "
        "loss changes with their score.",
    ),
    "k": (
        "dk = dscoresᵀ q / √d",
        "And its other side, hence the transpose: a key collects the queries that looked at it.",
    ),
    "x": (
        "dx = dq wqᵀ + dk wkᵀ + dv wvᵀ, of all heads",
        "x was used three times, for query, key and value: the three gradients add.",
    ),
}
LINES = {  # of the source that make it: the layer inside the attention, the name there
    "q": [("qkv", "out"), ("", "q")],
    "k": [("qkv", "out"), ("", "k")],
    "v": [("qkv", "out"), ("", "v")],
    "scores": [("", "scores")],
    "att": [("softmax", "shifted"), ("softmax", "numer"), ("softmax", "total"), ("softmax", "y")],
    "mix": [("", "mix")],
    "y": [("proj", "out")],
    "dmix": [("proj", "drows"), ("", "dmix")],
    "dv": [("", "dv")],
    "datt": [("", "datt")],
    "dscores": [("softmax", "average"), ("softmax", "dx")],
    "dq": [("", "dscores"), ("", "dq")],
    "dk": [("", "dk")],
    "dx": [("qkv", "drows")],
}
SHAPES = {name: "(T, d)" for name in ("q", "k", "v", "mix")}
SHAPES |= {"scores": "(T, T)", "att": "(T, T)", "x": "(T, D)", "y": "(T, D)"}


class Step(NamedTuple):
    """One quantity of the walk.

    title:   "forward, 5 of 8"
    formula: as on paper
    words:   what it means, or the rule that it uses
    lines:   of the source, that make it
    value:   the matrix of one image and one head, with its symbolic shape
    nudged:  a sentence on one number that was moved, or ""
    """

    title: str
    formula: str
    words: str
    lines: list
    value: np.ndarray
    shape: str
    nudged: str


def walk(trace, block, head, seed=0):
    """Yield the Steps through the attention of `block`, `head` (from 0) of the first image."""
    rng, path = np.random.default_rng(seed), f"blocks.{block}.attn"
    for number, (name, (formula, words)) in enumerate(FORWARD.items(), 1):
        value = _of_head(trace[f"{path}.{name}"].value, head)
        title = f"forward, {number} of {len(FORWARD)}"
        lines = _lines(trace, path, name, "forward")
        yield Step(title, formula, words, lines, value, SHAPES[name], "")
    for number, (name, (formula, words)) in enumerate(BACKWARD.items(), 1):
        record = trace[f"{path}.{name}"]
        value = _of_head(record.gradient, head)
        index = tuple(int(rng.integers(size)) for size in value.shape)
        place = (0, *index) if record.value.ndim == 3 else (0, head, *index)
        slope, gradient = nudge(trace, record, place)
        nudged = (
            f"Moved by hand: {name}{list(index)}, a little up and a little down, changes the loss "
            f"with a slope of {slope:.6g}; the backward says {gradient:.6g}."
        )
        title = f"backward, {number} of {len(BACKWARD)}"
        lines = _lines(trace, path, f"d{name}", "backward")
        yield Step(title, formula, words, lines, value, SHAPES[name], nudged)


def _of_head(array, head):
    """(B, h, T, ·) or (B, T, ·) -> the matrix of the first image, in that head."""
    return array[0, head] if array.ndim == 4 else array[0]


def _lines(trace, path, name, phase):
    """The lines of the source that make an array of the attention, in their order."""
    lines = []
    for inside, variable in LINES.get(name, []):
        place = f"{path}.{inside}".rstrip(".")
        lines += [
            record.source
            for record in trace
            if (record.path, record.variable, record.phase) == (place, variable, phase)
            and record.function == phase
        ]
    if name == "dq":  # of dscores, only the division by √d
        lines = [line for line in lines if "softmax.backward" not in line]
    return list(dict.fromkeys(lines))


def as_text(step):
    """A Step for the terminal."""
    size = "×".join(map(str, step.value.shape))
    parts = [
        f"── {step.title} ──  {step.formula}   {step.shape} = {size}",
        "",
        textwrap.fill(step.words, WIDTH),
    ]
    parts += ["", *(f"    {line}" for line in step.lines)] if step.lines else []
    parts += ["", *(f"    {row}" for row in corner(step.value))]
    return "\n".join(parts + (["", textwrap.fill(step.nudged, WIDTH)] if step.nudged else []))


def as_markdown(steps, head_line):
    """All Steps as a document."""
    parts = ["# Backprop through one head of attention", head_line]
    for step in steps:
        size = "×".join(map(str, step.value.shape))
        parts += [f"## {step.formula}", f"*{step.title}, {step.shape} = {size}.* {step.words}"]
        if step.lines:
            parts.append("\n".join(["```python", *step.lines, "```"]))
        parts.append("\n".join(["```text", *corner(step.value), "```"]))
        parts += [step.nudged] if step.nudged else []
    return "\n\n".join(parts) + "\n"


def corner(matrix, rows=4, columns=6):
    """The first numbers of a matrix as lines of text, small ones with their power of ten apart."""
    shown = matrix[:rows, :columns]
    largest = np.abs(shown).max(initial=0)
    power = math.floor(math.log10(largest)) if largest else 0
    power = power if not -2 <= power <= 2 else 0
    more = "  …" if matrix.shape[1] > columns else ""
    lines = ["".join(f"{number / 10.0**power:9.4f}" for number in row) + more for row in shown]
    lines += ["        …"] if matrix.shape[0] > rows else []
    return lines + ([f"all times 10^{power}"] if power else [])
