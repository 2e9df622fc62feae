"""What a walk says: the formula of each quantity, what it means, and the lines that compute it.

A Course is the way through one kind of attention. What masked attention and cross-attention share
with plain attention is written once, for that.
"""

from typing import NamedTuple

from ...layers import Attention, CrossAttention, MaskedAttention

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


class Course(NamedTuple):
    """The quantities on the way through a kind of attention, forward and back.

    forward:  {name: (formula, what it means)}
    backward: {whose gradient: (formula, the rule that it uses)}
    lines:    {name: arrays of the layer whose source lines compute it}
    shapes:   {name: its symbolic shape}
    of_letter: whether the loss is that of one letter, of which much is exactly zero
    corner:   how many rows and columns of a matrix are shown
    """

    forward: dict
    backward: dict
    lines: dict
    shapes: dict
    of_letter: bool = False
    corner: tuple = (4, 6)


WHOLE = (9, 9)  # rows and columns of a corner that holds all scores of a strip of 8 letters
LATER = (
    "The layers above pass this down: how the loss of the letter changes with each number of y. "
    "The rows of later tokens are exactly 0: the letter did not see them."
)
MASKED = Course(  # `seen` is what the scores are after hiding; in the source both are `scores`
    forward={name: FORWARD[name] for name in ("x", "q", "k", "v", "scores")}
    | {
        "seen": (
            "seen = scores, and −∞ where s > t",
            "A token must not see what comes after it, as it is to say what that is: in each row "
            "the scores of later keys are hidden, before the softmax.",
        ),
        "att": (
            "att = softmax(seen)",
            "Each row becomes weights that sum to one. exp(−∞) is exactly 0, so a hidden token "
            "gets no weight, and the others share all of it. The first row has no choice: its one "
            "weight is 1.",
        ),
        "mix": (
            "mix = att v",
            "Each token takes the average of the values that it sees, with these weights.",
        ),
        "y": FORWARD["y"],
    },
    backward={
        "y": ("dy", LATER),
        "mix": BACKWARD["mix"],
        "v": (
            "dv = attᵀ dmix",
            "A product c = a b passes back db = aᵀ dc: value s went into the mix of every token t "
            "from s on, with the weight att[t, s], so it collects from these.",
        ),
        "att": BACKWARD["att"],
        "seen": (
            "dseen = att · (datt − Σ(att · datt))",
            f"{BACKWARD['scores'][1]} Where att is exactly 0, so is the product, whatever datt is.",
        ),
        "scores": (
            "dscores = dseen, and 0 where s > t",
            "Where hiding left a score as it was, the gradient passes. A score that was replaced "
            "by −∞ no longer matters, so its gradient is 0. But 0 is what stands there already: "
            "the mask needs no line in the backward.",
        ),
    }
    | {name: BACKWARD[name] for name in ("q", "k", "x")},
    lines=LINES
    | {
        "seen": "hide_later.later hide_later.scores",
        "dseen": LINES["dscores"],
        "dscores": "",
    },
    shapes=SHAPES | {"seen": "(T, T)"},
    of_letter=True,
    corner=WHOLE,
)
CROSS = Course(
    forward={
        "x": ("x", "The text: D numbers for each of its T tokens, normalised by ln2."),
        "memory": (
            "memory",
            "What the encoder made of the picture: D numbers for each of its S patches.",
        ),
        "q": ("q = x wq + bq", "Each token of the text makes a query: what it looks for."),
        "k": ("k = memory wk + bk", "Each patch makes a key: what it can be found by."),
        "v": (
            "v = memory wv + bv",
            "Each patch makes a value: what it passes on to tokens that attend to it.",
        ),
        "scores": (
            "scores = q kᵀ / √d",
            "scores[t, s] says how well the query of token t matches the key of patch s. Nothing "
            "is hidden: every token may see the whole picture.",
        ),
        "att": (
            "att = softmax(scores)",
            "Each row becomes weights that sum to one: where in the picture token t looks.",
        ),
        "mix": (
            "mix = att v",
            "Each token takes the average of the values of all patches, with these weights.",
        ),
        "y": FORWARD["y"],
    },
    backward=BACKWARD
    | {
        "y": ("dy", LATER),
        "x": (
            "dx = dq wqᵀ, of all heads",
            "The first way back: x made the queries and nothing else. This gradient goes on down "
            "the decoder, to the text.",
        ),
        "memory": (
            "dmemory = dk wkᵀ + dv wvᵀ, of all heads",
            "The second way back: the memory made keys and values, so two gradients add up. This "
            "one leaves the decoder for the encoder and goes on to the pixels. Each block of the "
            "decoder returns one, and the encoder gets their sum.",
        ),
    },
    lines=LINES
    | {
        "q": "q.out q",
        "k": "kv.out k",
        "v": "kv.out v",
        "dx": "q.drows",
        "dmemory": "kv.drows",
    },
    shapes=SHAPES
    | {"k": "(S, d)", "v": "(S, d)", "scores": "(T, S)", "att": "(T, S)", "memory": "(S, D)"},
    of_letter=True,
    corner=WHOLE,
)
COURSES = {
    Attention: Course(FORWARD, BACKWARD, LINES, SHAPES),
    MaskedAttention: MASKED,
    CrossAttention: CROSS,
}
