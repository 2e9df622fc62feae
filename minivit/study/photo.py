"""What a Vision Transformer makes of a photo: its tokens, its attention, and a gradient."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..classifier import expect_finite
from ..models import Encoder
from .rollout import attention_rollout

APART = 0.25  # of the grid's shorter side: how far a patch is from those that just lie beside it
FEWEST = 4  # patches, which is what three components need


@dataclass(frozen=True)
class Look:
    """What `look` finds in a photo of R x S patches.

    components: (R, S, 3) the patch tokens along their three principal components
    shares:     (3,) the components' shares of the tokens' variance
    heads:      (h, R, S) the class token's attention in the last block; None without class token
    rollout:    (R, S) how much of each patch has reached the class token; None without class token
    similarity: (R, S) of each patch's token with the token of patch `one`
    one, other: (row, column) of two patches
    gradient:   (H, W, C) of the similarity of these two, with respect to the normalised pixels
    """

    components: NDArray
    shares: NDArray
    heads: NDArray | None
    rollout: NDArray | None
    similarity: NDArray
    one: tuple[int, int]
    other: tuple[int, int]
    gradient: NDArray


def look(
    model: Any,
    params: Any,
    image: NDArray,
    one: tuple[int, int] | None = None,
    other: tuple[int, int] | None = None,
) -> Look:
    """Return the Look of a ViT or an Encoder into one image (H, W, C), normalised.

    one, other: two patches; if not given, the one that is least like the mean of all, and the one
                that is most like it without lying beside it
    The tokens are those after the last layer norm, where one comes before the pooling.
    Errors: ValueError for patches outside of the grid, twice the same, or fewer than four;
    FloatingPointError for tokens that are not finite.
    """
    grid, N = (model.patches.rows, model.patches.columns), model.patches.count
    if N < FEWEST:
        raise ValueError(f"a photo of {N} patches; expected at least {FEWEST}, so larger pixels")
    for place in (one, other):
        if place is not None and not (0 <= place[0] < grid[0] and 0 <= place[1] < grid[1]):
            raise ValueError(
                f"there is no patch {place}; expected a row from 0 to {grid[0] - 1} and a column "
                f"from 0 to {grid[1] - 1}"
            )
    with np.errstate(all="ignore"):
        tokens, cache = Encoder.forward(model, params, image[None])  # (1, T, D)
    expect_finite(tokens, lambda: image, params)
    patches = tokens[0, -N:].reshape(*grid, -1)  # (R, S, D), a view
    one = one or most_salient(patches)
    similarity = similarities(patches, one)
    other = other or most_similar(similarity, one)
    if one == other:
        raise ValueError(f"both patches are {one}; expected two")
    heads = rollout = None
    if model.tokens > N:  # the class token is the first
        attentions = [block["attn"]["att"] for block in cache["blocks"]]
        heads = attentions[-1][0, :, 0, 1:].reshape(-1, *grid)
        rollout = attention_rollout(attentions)[0, 0, 1:].reshape(grid)
    dtokens = np.zeros_like(tokens)
    dpatches = dtokens[0, -N:].reshape(patches.shape)  # a view
    _, dpatches[one], dpatches[other] = cosine(patches[one], patches[other])
    dimages = Encoder.backward(model, params, dtokens, cache, params.zeros_like())
    components, shares = principal_components(patches)
    return Look(components, shares, heads, rollout, similarity, one, other, dimages[0])


def cosine(a, b):
    """The cosine similarity of two tokens (D,), and its gradient: (s, ds/da, ds/db).

        s = a·b / |a||b|      ds/da = (b/|b| − s a/|a|) / |a|      ds/db = (a/|a| − s b/|b|) / |b|

    Both gradients are at a right angle to their token: its length does not matter to s.
    """
    a_length, b_length = (a @ a) ** 0.5, (b @ b) ** 0.5
    a_unit, b_unit = a / a_length, b / b_length  # (D,)
    s = a_unit @ b_unit
    da = (b_unit - s * a_unit) / a_length  # (D,)
    db = (a_unit - s * b_unit) / b_length  # (D,)
    return s, da, db


def similarities(patches, one):
    """The cosine similarity of all tokens (R, S, D) with that at the place `one`: (R, S)."""
    units = patches / np.linalg.norm(patches, axis=-1, keepdims=True)  # (R, S, D)
    return units @ units[one]


def most_salient(patches):
    """The place (row, column) of the token, of (R, S, D), that is farthest from their mean."""
    distances = np.linalg.norm(patches - patches.mean(axis=(0, 1)), axis=-1)  # (R, S)
    return _place_of_largest(distances)


def most_similar(similarity, one):
    """The place of the largest similarity (R, S) that is APART from `one`."""
    rows, columns = np.indices(similarity.shape)
    distances = np.hypot(rows - one[0], columns - one[1])  # (R, S), in patches
    apart = distances >= max(1, APART * min(similarity.shape))
    return _place_of_largest(np.where(apart, similarity, -np.inf))


def _place_of_largest(values):
    row, column = np.unravel_index(values.argmax(), values.shape)
    return int(row), int(column)


def principal_components(patches, count=3):
    """Tokens (R, S, D) along their principal components (R, S, count), and these' shares (count,).

    The components are the right singular vectors of the centred tokens, the largest share of the
    variance first. A singular vector has no sign of its own; each gets the one by which the most
    salient token is positive.
    """
    R, S, D = patches.shape
    centred = patches.reshape(-1, D).astype(np.float64)  # (N, D)
    centred -= centred.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    components = (left * sizes)[:, :count].reshape(R, S, count)
    components *= np.where(components[most_salient(patches)] < 0, -1, 1)
    shares = (sizes**2 / (sizes**2).sum())[:count]
    return components, shares
