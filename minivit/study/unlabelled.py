"""Pictures of what a model has learned without labels: jigsaws put right, and patches painted."""

import numpy as np

from ..backend import to_device
from ..layers.patches import cut_patches, join_patches
from ..losses.reconstruction import patches_of
from ..models import Permutation

GREY = 127  # of a patch that is missing, or of a place that no patch was put at


def pictures(pretrainer, pixels, places):
    """What the model was given and what it made of it: two arrays like the raw images `pixels`.

    places: what its model drew for these images
    Jigsaws: the shuffled patches, and each of them where the model puts it. Otherwise: what it saw
    of the images, and the same with what it painted in.
    """
    answer, images = pretrainer.answer(pixels, places)
    answer, images = to_device(answer, "cpu"), to_device(images, "cpu")
    model = pretrainer.model
    P, N = model.patches.patch_size, model.patches.count
    rows = np.arange(len(pixels))[:, None]
    patches = cut_patches(pixels.reshape(images.shape), P)  # (B, N, P·P·C)
    given, made = np.full_like(patches, GREY), np.full_like(patches, GREY)
    if isinstance(model, Permutation):
        known = places[:, model.asked :] - N
        given[:, :] = patches[rows, places % N]
        made[rows, known] = patches[rows, known]
        made[rows, assembled(answer, known)] = patches[rows, places[:, : model.asked]]
    else:
        given[rows, places] = patches[rows, places]
        made = raw(pretrainer.normalize, patches_of(answer), images.shape[-1])
        made[rows, places] = patches[rows, places]
    H, W = images.shape[1:3]
    return [join_patches(each, H, W, P).reshape(pixels.shape) for each in (given, made)]


def assembled(logits, known):
    """The place for each of the A patches, (B, A): no two in one, and none where one is known.

    logits: (B, A, N). The surest answer is taken first, then the surest of what is left.
    """
    B, A, N = logits.shape
    left = logits - logits.max(axis=-1, keepdims=True)
    left = left - np.log(np.exp(left).sum(axis=-1, keepdims=True))  # (B, A, N), log p
    rows, found = np.arange(B), np.empty((B, A), int)
    left[rows[:, None], :, known] = -np.inf
    for _ in range(A):
        patch, place = np.divmod(left.reshape(B, -1).argmax(axis=1), N)  # 2 x (B,)
        found[rows, patch] = place
        left[rows, patch] = left[rows, :, place] = -np.inf
    return found


def raw(normalize, numbers, channels):
    """Normalised patches (B, N, P·P·C) as raw pixels, uint8."""
    mean, std = (np.broadcast_to(each, channels) for each in (normalize.mean, normalize.std))
    pixels = numbers.reshape(*numbers.shape[:2], -1, channels) * (255 * std) + 255 * mean
    return pixels.clip(0, 255).round().astype(np.uint8).reshape(numbers.shape)


def strip(images):
    """Images (n, H, W) or (n, H, W, C) side by side, with a pixel between them."""
    edge = np.full_like(images[:, :, :1], 255)
    return np.concatenate(list(np.concatenate([images, edge], axis=2)), axis=1)
