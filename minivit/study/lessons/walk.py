"""A walk through one head of one attention: forward line by line, then backward in reverse.

Lines and numbers come from a trace: the engine's own lines, the numbers of the pass. Only the
formulas and the words beside them are written here.
"""

import math
import textwrap
from typing import NamedTuple

import numpy as np

from ..tracing.nudge import nudge

WIDTH = 96  # of a line of words
FORWARD = {  # the name in the source: formula, what it means
    "x": ("x", "The input: D numbers for each token, normalised by ln1."),
    "q": ("q = x wq + bq", "Each token makes a query of d numbers: what it looks for."),
    "k": ("k = x wk + bk", "Each token makes a key: what it can be found by."),
    "v": (
        "v = x wv + bv",
        "Each token makes a value: what it passes on to tokens that attend to it.",
    ),
    "scores": (
        "scores = q kᵀ / √d",
        "scores[t, s] says how well the query of token t matches the key of token s. Dividing by "
        "√d keeps the scores of wide heads as small as those of narrow ones.",
    ),
    "att": (
        "att = softmax(scores)",
        "Each row becomes weights that sum to one: how much token t attends to each token s.",
    ),
    "mix": ("mix = att v", "Each token takes the average of all values, with these weights."),
    "y": (
        "y = [mix of head 0, mix of head 1, …] wo + bo",
        "The mixes of all heads, side by side, are projected back to the width D.",
    ),
}
BACKWARD = {  # whose gradient it is: formula, the rule that it uses
    "y": ("dy", "The layers above pass this down: how the loss changes with each number of y."),
    "mix": (
        "dmix = dy woᵀ, the columns of this head",
        "A linear map y = x w passes back dx = dy wᵀ: each input collects the gradients of all the "
        "outputs it reached, through the same weights.",
    ),
    "v": (
        "dv = attᵀ dmix",
        "A product c = a b passes back db = aᵀ dc: value s went into the mix of every token t with "
        "the weight att[t, s], so it collects from all of them.",
    ),
    "att": (
        "datt = dmix vᵀ",
        "A product c = a b passes back da = dc bᵀ: att[t, s] multiplied v[s], so its gradient is "
        "the dot product of dmix[t] and v[s].",
    ),
    "scores": (
        "dscores = att · (datt − Σ(att · datt))",
        "Softmax: as the weights sum to one, raising one lowers the others. A score matters only "
        "by how far its weight's gradient exceeds the average of its row; each row sums to zero.",
    ),
    "q": (
        "dq = dscores k / √d",
        "The product rule again: the query of token t collects the keys it met, each times the "
        "gradient of their score.",
    ),
    "k": (
        "dk = dscoresᵀ q / √d",
        "The other factor, hence the transpose: a key collects the queries that it met.",
    ),
    "x": (
        "dx = dq wqᵀ + dk wkᵀ + dv wvᵀ, of all heads",
        "x was used three times, for query, key and value, so the three gradients add up.",
    ),
}
LINES = {  # the arrays of the attention whose source lines compute it
    "q": "qkv.out q", "k": "qkv.out k", "v": "qkv.out v", "scores": "scores",
    "att": "softmax.shifted softmax.numer softmax.total softmax.y", "mix": "mix", "y": "proj.out",
    "dmix": "proj.drows dmix", "dv": "dv", "datt": "datt", "dscores": "softmax.average softmax.dx",
    "dq": "dscores dq", "dk": "dk", "dx": "qkv.drows",
}  # fmt: skip
SHAPES = {name: "(T, d)" for name in ("q", "k", "v", "mix")}
SHAPES |= {"scores": "(T, T)", "att": "(T, T)", "x": "(T, D)", "y": "(T, D)"}


class Step(NamedTuple):
    """One quantity of the walk."""

    title: str  # "forward, 5 of 8"
    formula: str  # as on paper
    words: str  # what it means, or the rule that it uses
    lines: list  # of the source, that compute it
    value: np.ndarray  # the matrix of one image and one head
    shape: str  # symbolic, "(T, d)"
    nudged: str  # a sentence about one number that was moved, or ""


def walk(trace, block, head, seed=0):
    """Yield the Steps through one head of the attention of a block, for the first image.

    block, head: count from 0. seed: draws the numbers that are moved.
    """
    rng, path = np.random.default_rng(seed), f"blocks.{block}.attn"
    for number, (name, (formula, words)) in enumerate(FORWARD.items(), 1):
        title, lines = f"forward, {number} of {len(FORWARD)}", _lines(trace, path, name)
        value = _of_head(trace[f"{path}.{name}"].value, head)
        yield Step(title, formula, words, lines, value, SHAPES[name], "")
    for number, (name, (formula, words)) in enumerate(BACKWARD.items(), 1):
        record = trace[f"{path}.{name}"]
        value = _of_head(record.gradient, head)
        index = tuple(int(rng.integers(size)) for size in value.shape)
        place = (0, *index) if record.value.ndim == 3 else (0, head, *index)
        slope, gradient = nudge(trace, record, place)
        nudged = (
            f"A check: moving {name}{list(index)} a little up and down changes the loss with a "
            f"slope of {slope:.6g}; the backward says {gradient:.6g}."
        )
        title, lines = f"backward, {number} of {len(BACKWARD)}", _lines(trace, path, f"d{name}")
        yield Step(title, formula, words, lines, value, SHAPES[name], nudged)


def _of_head(array, head):
    """The matrix of the first image, and of that head, of (B, T, ·) or (B, h, T, ·)."""
    return array[0, head] if array.ndim == 4 else array[0]


def _lines(trace, path, name):
    """The lines of the source that compute an array of the attention, in order."""
    names = [f"{path}.{part}" for part in LINES.get(name, "").split()]
    lines = [record.source for part in names for record in trace.versions(part)]
    if name == "dq":  # of the lines of dscores, only the division by √d
        lines = [line for line in lines if "softmax.backward" not in line]
    return list(dict.fromkeys(lines))


def as_text(step):
    """A Step in Markdown that also reads well in a terminal."""
    size = "×".join(map(str, step.value.shape))
    parts = [
        f"## {step.title}: {step.formula}   {step.shape} = {size}",
        textwrap.fill(step.words, WIDTH),
        "\n".join(f"    {line}" for line in step.lines),
        "\n".join(f"    {row}" for row in corner(step.value)),
        textwrap.fill(step.nudged, WIDTH),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def corner(matrix, rows=4, columns=6):
    """The first numbers of a matrix as lines of text, a common power of ten apart."""
    shown = matrix[:rows, :columns]
    largest = np.abs(shown).max(initial=0)
    power = math.floor(math.log10(largest)) if largest else 0
    power = power if not -2 <= power <= 2 else 0
    more = "  …" if matrix.shape[1] > columns else ""
    lines = ["".join(f"{number / 10.0**power:9.4f}" for number in row) + more for row in shown]
    lines += ["        …"] if matrix.shape[0] > rows else []
    return lines + ([f"all times 10^{power}"] if power else [])
