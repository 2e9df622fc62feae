"""The loss for each attention score moved by a few steps, for a page without a server."""

import copy

import numpy as np

from ...layers import Softmax
from ...losses import cross_entropy
from ...threads import cores, threads

SLOPE_STEP = 1e-3  # of the central difference
STEPS = [-1.0, -0.5, -0.1, 0.1, 0.5, 1.0]  # for which a page holds the loss itself
FEW = 4096  # scores, which take some seconds


class MovedScores(Softmax):
    """A softmax that first adds `changes` to the entries `places` of its input."""

    def __init__(self, places, changes):
        self.places, self.changes = places, changes

    def forward(self, x):
        x[self.places] += self.changes
        return super().forward(x)


def heads_to_move(trace):
    """[(block, head), …]: all if they have few scores, else the one with the largest gradient."""
    names = [f"blocks.{block}.attn.scores" for block in range(len(trace.layer.blocks))]
    gradients = np.array([trace[name].gradient[0] for name in names])  # (L, h, T, T)
    heads = list(np.ndindex(gradients.shape[:2]))
    if gradients.size <= FEW:
        return heads
    return [heads[np.abs(gradients).max(axis=(2, 3)).argmax()]]


def moved_scores(trace, heads):
    """Move each attention score of each (block, head) of a list; return (losses, slopes).

    Takes the Trace of a ViT for one image. losses (len(heads), T, T, len(STEPS)), with the score
    moved by each of STEPS; slopes (len(heads), T, T), the central difference. The passes run in
    float64.
    """
    model, T = trace.layer, trace.layer.tokens
    moves = np.array([*STEPS, SLOPE_STEP, -SLOPE_STEP])
    key, move = np.indices((T, len(moves))).reshape(2, -1)
    params, image = trace.params.astype(np.float64), trace.x.astype(np.float64)
    images = np.repeat(image, len(key), axis=0)  # go through the model together

    def losses_of(place):
        block, head, query = place
        moved, scores = copy.deepcopy(model), (np.arange(len(key)), head, query, key)
        moved.blocks[block].attn.softmax = MovedScores(scores, moves[move])
        logits, _ = moved.forward(params, images, keep=False)
        return [cross_entropy(one[None], trace.labels)[0] for one in logits]

    with threads(cores()) as mapper:
        queries = [(block, head, query) for block, head in heads for query in range(T)]
        losses = np.reshape(mapper(losses_of, queries), (len(heads), T, T, len(moves)))
    return losses[..., :-2], (losses[..., -2] - losses[..., -1]) / (2 * SLOPE_STEP)
