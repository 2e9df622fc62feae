"""The loss for every attention score moved by a few steps, so that a page alone can show it."""

import copy

import numpy as np

from ...layers import Softmax
from ...losses import cross_entropy
from ...training.step import cores, threads

SLOPE_STEP = 1e-3  # of the central difference
STEPS = [-1.0, -0.5, -0.1, 0.1, 0.5, 1.0]  # for which a page holds the loss itself
COPIES = 32  # of the image that go through the model at once, each with another score moved


class MovedScores(Softmax):
    """A softmax that adds `changes` to the numbers of its input that `places` names."""

    def __init__(self, places, changes):
        self.places, self.changes = places, changes

    def forward(self, params, x):
        x[self.places] += self.changes
        return super().forward(params, x)


def moved_scores(trace):
    """Move each attention score of each block and head; return (losses, slopes).

    Takes the Trace of a ViT for one image. losses (L, h, T, T, len(STEPS)), with the score moved by
    each of STEPS; slopes (L, h, T, T), the central difference. The passes run in float64.
    """
    model, (h, T, _) = trace.layer, trace["blocks.0.attn.scores"].shape[1:]
    moves = np.array([*STEPS, SLOPE_STEP, -SLOPE_STEP])
    shape = (h, T, T, len(moves))
    *places, move = (index.ravel() for index in np.indices(shape))
    params, image = trace.params.astype(np.float64), trace.x.astype(np.float64)

    def losses_of(block):
        moved, losses = copy.deepcopy(model), np.empty(len(move))
        for start in range(0, len(move), COPIES):
            part = slice(start, start + COPIES)
            count = len(move[part])
            where = (np.arange(count), *(place[part] for place in places))
            moved.blocks[block].attn.softmax = MovedScores(where, moves[move[part]])
            logits, _ = moved.forward(params, np.repeat(image, count, axis=0), keep=False)
            losses[part] = [cross_entropy(one[None], trace.labels)[0] for one in logits]
        return losses.reshape(shape)

    with threads(cores()) as mapper:
        losses = np.array(mapper(losses_of, range(len(model.blocks))))
    return losses[..., :-2], (losses[..., -2] - losses[..., -1]) / (2 * SLOPE_STEP)
