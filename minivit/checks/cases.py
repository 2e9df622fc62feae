"""The cases for gradcheck: a layer, a loss or a small model, with a fitting input.

All sizes of an input differ from each other and from the layer's: a transposition or a wrong axis
cannot hide. Each has a second case or more, OTHERS: even where the first is odd, tall where it is
wide, with other options.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import layers
from ..losses import (
    cross_entropy,
    detection,
    giou,
    reconstruction,
    relative_l1,
    sequence_cross_entropy,
)
from ..models import CNN, Detector, Masked, Permutation, ViT
from .inside import Loss
from .one_input import (
    AddedWords,
    SharedWords,
    WritingDecoder,
    WritingReader,
    lengths_of,
    one_input,
)


class Case(NamedTuple):
    make: Callable  # () -> the layer, new
    shape: tuple  # of its input
    loss: Callable | None = None  # y -> (loss, dy)


def labels_of(logits):
    """Labels with every class among them."""
    return np.arange(len(logits)) % logits.shape[1]


def plain_loss(logits):
    return cross_entropy(logits, labels_of(logits))


def smoothed_loss(logits):
    return cross_entropy(logits, labels_of(logits), smoothing=0.1)


def sequence_loss(logits):
    """Of sequences of several lengths; what stands behind their ends is no word."""
    B, T, V = logits.shape
    targets, lengths = np.arange(B * T).reshape(B, T) % V, lengths_of(logits)
    targets[np.arange(T) >= lengths[:, None]] = -1
    return sequence_cross_entropy(logits, targets, lengths, smoothing=0.1)


def painted_loss(painted):
    """Of patches that one seed draws, one of which is seen in each image."""
    B, N, numbers = painted.shape
    patches = np.random.default_rng(0).standard_normal((B, N, numbers - 2))
    return reconstruction(painted, patches.astype(painted.dtype), np.arange(B)[:, None] % N)


def giou_loss(boxes):
    """Of the boxes of a PatchBoxes, with others that lie near: inside, around, beside, apart."""
    score, dboxes = giou(boxes, near(boxes))
    return score.sum(), dboxes


def l1_loss(boxes):
    distance, dboxes = relative_l1(boxes, near(boxes))
    return distance.sum(), dboxes


def near(boxes):
    """Another box for each of (B, N, 4), some of them near, whatever the boxes are."""
    middles = np.random.default_rng(0).uniform(0, 9, (*boxes.shape[:-1], 2))
    sizes = np.random.default_rng(1).uniform(1, 9, middles.shape)
    return np.concatenate([middles - sizes / 2, middles + sizes / 2], axis=-1)


def detection_loss(answer):
    """The loss of a detector on images with two objects, one, or none, in turns."""
    B, N, width = answer.shape
    targets = np.tile(np.array([width - 5, 0, 0, 1, 1.0]), (B, N, 1))
    for number in range(B):
        for patch in range(number % 3):
            targets[number, patch] = [(number + patch) % (width - 5), -1.1, 0.2, 3.7, 2.9]
    return detection(answer, targets, smoothing=0.1)


MODEL: dict[str, Any] = dict(
    image_size=(4, 6), patch_size=2, channels=3, dim=6, depth=2, heads=2, mlp_dim=5, classes=3,
    pool="cls", dropout=0.2, drop_path=0.2,
)  # fmt: skip
TALL: dict[str, Any] = MODEL | dict(
    image_size=(6, 2), channels=2, dim=8, heads=1, positions="sincos2d", pool="patch_mean",
    norm_pooled=True, pre_logits=7, layer_scale=0.1,
)  # fmt: skip
POST: dict[str, Any] = TALL | dict(
    image_size=(4, 4), norm="post", layer_scale=None, positions="sincos1d", pool="mean",
    norm_pooled=False, pre_logits=None,
)  # fmt: skip
STEMMED: dict[str, Any] = POST | dict(image_size=(9, 5), stem=[(3, 2, 4)])
WIDE: dict[str, Any] = dict(dim=64, depth=3, mlp_dim=96, layer_scale=0.1)
CNN_SIZES: dict[str, Any] = dict(image_size=(4, 8), channels=2, classes=3, dims=(5, 7, 6))
ENCODER: dict[str, Any] = dict(
    image_size=(4, 6), patch_size=2, channels=3, dim=8, depth=1, heads=2, mlp_dim=5,
)  # fmt: skip
OTHER: dict[str, Any] = dict(
    image_size=(6, 4), patch_size=2, channels=1, dim=12, depth=2, heads=3, mlp_dim=7, dropout=0.2,
    positions="sincos2d",
)  # fmt: skip
DETECTOR: dict[str, Any] = dict(
    image_size=(4, 6), patch_size=2, channels=3, dim=6, depth=2, heads=2, mlp_dim=5, classes=4,
    dropout=0.2,
)  # fmt: skip
WRITER: dict[str, Any] = dict(
    words=7, length=4, dim=6, depth=2, heads=3, mlp_dim=5, dropout=0.2,
)  # fmt: skip
READER: dict[str, Any] = dict(
    image_size=(4, 6), patch_size=(4, 2), channels=2, dim=8, depth=1, heads=2, mlp_dim=5, words=7,
    longest=3, decoder_depth=1, dropout=0.2,
)  # fmt: skip
DROPOUT = dict(dropout=0.3, drop_path=0.2)
MASKED = one_input(layers.MaskedAttention)
PADDED = one_input(layers.MaskedAttention, padded=True)
CASES = {
    "linear": Case(partial(layers.Linear, 7, 5), (2, 3, 7)),
    "gelu": Case(partial(layers.GELU), (2, 3, 7)),
    "gelu_exact": Case(partial(layers.ExactGELU), (2, 3, 7)),
    "mlp": Case(partial(layers.MLP, 5, 11), (2, 3, 5)),
    "layernorm": Case(partial(layers.LayerNorm, 7), (2, 3, 7)),
    "softmax": Case(partial(layers.Softmax), (2, 3, 7)),
    "attention": Case(partial(layers.Attention, 15, 3), (2, 7, 15)),
    "dropout": Case(partial(layers.Dropout, 0.3, 0.2), (5, 3, 7)),
    "block": Case(partial(layers.PreNormBlock, 6, 2, 11, **DROPOUT), (3, 5, 6)),
    "layer_scale": Case(partial(layers.LayerScale, 7), (2, 3, 7)),
    "scaled_block": Case(partial(layers.PreNormBlock, 6, 2, 11, layer_scale=0.1), (3, 5, 6)),
    "post_norm": Case(partial(layers.PostNormBlock, 6, 2, 11, **DROPOUT), (3, 5, 6)),
    "identity": Case(partial(layers.Identity), (2, 3, 7)),
    "patches": Case(partial(layers.Patches, 6, 10, 2, 3, 7), (2, 6, 10, 3)),
    "class_token": Case(partial(layers.ClassToken, 5), (2, 3, 5)),
    "positions": Case(partial(layers.Positions, 3, 5), (2, 3, 5)),
    "sinusoids_1d": Case(partial(layers.SinusoidalPositions, 3, 10), (2, 3, 10)),
    "sinusoids_2d": Case(partial(layers.SinusoidalPositions2D, 2, 5, 12), (3, 10, 12)),
    "mean_pool": Case(partial(layers.MeanPool), (2, 3, 5)),
    "patch_mean_pool": Case(partial(layers.PatchMeanPool), (2, 3, 5)),
    "first_token": Case(partial(layers.FirstToken), (2, 3, 5)),
    "pre_logits": Case(partial(layers.PreLogits, 5, 7), (3, 5)),
    "keep_tokens": Case(partial(layers.KeepTokens, 0.4), (3, 7, 5)),
    "fill_tokens": Case(partial(layers.FillTokens, 7, 5), (2, 3, 5)),
    "twice": Case(partial(layers.Twice, layers.Positions(3, 5)), (2, 3, 5)),
    "masked_attention": Case(partial(MASKED, 15, 3), (2, 7, 15)),
    "rotary": Case(partial(layers.Rotary, 4), (2, 3, 5, 4)),
    "rotary_attention": Case(partial(MASKED, 12, 2, rotary=True), (2, 7, 12)),
    "cross_attention": Case(partial(one_input(layers.CrossAttention, 5), 15, 3), (2, 12, 15)),
    "decoder_block": Case(
        partial(one_input(layers.PreNormDecoderBlock, 3), 6, 2, 11, dropout=0.3), (2, 7, 6)
    ),
    "post_norm_decoder": Case(
        partial(one_input(layers.PostNormDecoderBlock, 3), 6, 2, 11, dropout=0.3), (2, 7, 6)
    ),
    "causal_block": Case(partial(layers.CausalBlock, 6, 2, 11, dropout=0.3), (3, 5, 6)),
    "embedding": Case(partial(AddedWords, 7, 5), (1, 8, 5)),
    "shared_words": Case(partial(SharedWords, 7, 5), (2, 8, 5)),
    "cross_entropy": Case(partial(Loss, smoothed_loss), (5, 3)),
    "sequence_loss": Case(partial(Loss, sequence_loss), (3, 7, 4)),
    "reconstruction": Case(partial(Loss, painted_loss), (3, 4, 7)),
    "convolution": Case(partial(layers.Convolution, 3, 7), (2, 4, 5, 3)),
    "halve": Case(partial(layers.Halve), (3, 4, 6, 5)),
    "stage": Case(partial(layers.Stage, 3, 7), (2, 4, 5, 3)),
    "strided": Case(partial(layers.StridedConvolution, 7, 5, 3, 3, 2, 4), (2, 7, 5, 3)),
    "stem": Case(partial(layers.Stem, 9, 7, 3, [(3, 2, 5), (2, 1, 4)]), (2, 9, 7, 3)),
    "cnn": Case(partial(CNN, **CNN_SIZES), (5, 4, 8, 2), smoothed_loss),
    "permutation": Case(partial(Permutation, **ENCODER, shown=0.3), (5, 4, 6, 3)),
    "masked": Case(partial(Masked, **ENCODER, seen=0.4, decoder_dim=4), (5, 4, 6, 3)),
    "patch_boxes": Case(partial(layers.PatchBoxes, 2, 5, 3), (3, 10, 4)),
    "giou": Case(partial(layers.PatchBoxes, 2, 5, 3), (3, 10, 4), giou_loss),
    "relative_l1": Case(partial(layers.PatchBoxes, 2, 5, 3), (3, 10, 4), l1_loss),
    "detector": Case(partial(Detector, **DETECTOR), (5, 4, 6, 3), detection_loss),
    "decoder": Case(partial(WritingDecoder, **WRITER), (3, 5, 6), sequence_loss),
    "reader": Case(partial(WritingReader, **READER), (5, 4, 6, 2), sequence_loss),
    "vit": Case(partial(ViT, **MODEL), (3, 4, 6, 3), smoothed_loss),
}


SCALED = dict(layer_scale=0.1, eps=1e-2)
OTHERS = {
    "linear": [Case(partial(layers.Linear, 4, 6), (5, 4))],
    "gelu": [Case(partial(layers.GELU), (4, 5))],
    "gelu_exact": [Case(partial(layers.ExactGELU), (4, 5))],
    "mlp": [Case(partial(layers.MLP, 6, 4), (3, 2, 6))],
    "layernorm": [Case(partial(layers.LayerNorm, 6, 1e-2), (5, 6))],
    "softmax": [Case(partial(layers.Softmax), (3, 5, 4, 6))],
    "attention": [
        Case(partial(layers.Attention, 16, 4), (3, 6, 16)),
        Case(partial(layers.Attention, 3, 1), (2, 11, 3)),
    ],
    "dropout": [
        Case(partial(layers.Dropout, 0.6), (4, 6)),
        Case(partial(layers.Dropout, 0.0, 0.4), (8, 3, 2)),
    ],
    "block": [Case(partial(layers.PreNormBlock, 8, 1, 6, eps=1e-2), (2, 4, 8))],
    "layer_scale": [Case(partial(layers.LayerScale, 6), (4, 6))],
    "scaled_block": [Case(partial(layers.PreNormBlock, 8, 4, 6, **SCALED), (2, 4, 8))],
    "post_norm": [Case(partial(layers.PostNormBlock, 8, 1, 6, eps=1e-2), (2, 4, 8))],
    "identity": [Case(partial(layers.Identity), (4, 6))],
    "patches": [Case(partial(layers.Patches, 9, 4, (3, 2), 1, 6), (5, 9, 4, 1))],
    "class_token": [Case(partial(layers.ClassToken, 4), (5, 2, 4))],
    "positions": [Case(partial(layers.Positions, 6, 4), (5, 6, 4))],
    "sinusoids_1d": [Case(partial(layers.SinusoidalPositions, 5, 8, True), (2, 6, 8))],
    "sinusoids_2d": [Case(partial(layers.SinusoidalPositions2D, 4, 3, 8, True), (2, 13, 8))],
    "mean_pool": [Case(partial(layers.MeanPool), (3, 6, 4))],
    "patch_mean_pool": [Case(partial(layers.PatchMeanPool), (3, 6, 4))],
    "first_token": [Case(partial(layers.FirstToken), (3, 6, 4))],
    "pre_logits": [Case(partial(layers.PreLogits, 6, 4), (5, 6))],
    "keep_tokens": [Case(partial(layers.KeepTokens, 0.5, 1), (2, 6, 4))],
    "fill_tokens": [Case(partial(layers.FillTokens, 6, 4), (3, 5, 4))],
    "twice": [Case(partial(layers.Twice, layers.SinusoidalPositions2D(3, 2, 8)), (5, 6, 8))],
    "masked_attention": [
        Case(partial(PADDED, 16, 4), (5, 6, 16)),
        Case(partial(PADDED, 3, 1, causal=False), (2, 11, 3)),
    ],
    "rotary": [Case(partial(layers.Rotary, 6), (3, 2, 7, 6))],
    "rotary_attention": [
        Case(partial(PADDED, 16, 4, rotary=True), (5, 6, 16)),
        Case(partial(MASKED, 4, 1, causal=False, rotary=True), (2, 11, 4)),
    ],
    "cross_attention": [
        Case(partial(one_input(layers.CrossAttention, 3, True), 16, 4), (5, 10, 16)),
        Case(partial(one_input(layers.CrossAttention, 7), 3, 1), (2, 11, 3)),
    ],
    "decoder_block": [
        Case(
            partial(one_input(layers.PreNormDecoderBlock, 4, True), 8, 2, 6, rotary=True), (3, 9, 8)
        ),
    ],
    "post_norm_decoder": [
        Case(partial(one_input(layers.PostNormDecoderBlock, 4, True), 8, 1, 6, eps=1e-2), (3, 9, 8))
    ],
    "causal_block": [Case(partial(layers.CausalBlock, 8, 2, 6, rotary=True), (2, 4, 8))],
    "embedding": [Case(partial(AddedWords, 4, 6), (3, 9, 6))],
    "shared_words": [Case(partial(SharedWords, 4, 6), (3, 9, 6))],
    "cross_entropy": [Case(partial(Loss, plain_loss), (4, 7))],
    "sequence_loss": [Case(partial(Loss, sequence_loss), (5, 6, 3))],
    "reconstruction": [Case(partial(Loss, painted_loss), (2, 6, 5))],
    "convolution": [Case(partial(layers.Convolution, 2, 4, 5), (3, 6, 3, 2))],
    "halve": [Case(partial(layers.Halve), (2, 6, 4, 3))],
    "stage": [Case(partial(layers.Stage, 2, 4), (3, 6, 3, 2))],
    "strided": [Case(partial(layers.StridedConvolution, 4, 6, 2, 2, 1, 3), (3, 4, 6, 2))],
    "stem": [Case(partial(layers.Stem, 5, 8, 3, [(2, 3, 4)]), (2, 5, 8, 3))],
    "cnn": [Case(partial(CNN, **CNN_SIZES | dict(image_size=(6, 2), dims=(4, 6))), (3, 6, 2, 2))],
    "permutation": [Case(partial(Permutation, **OTHER), (3, 6, 4, 1))],
    "masked": [
        Case(partial(Masked, **OTHER, decoder_dim=8, decoder_depth=1), (3, 6, 4, 1)),
    ],
    "patch_boxes": [Case(partial(layers.PatchBoxes, 4, 2, 2), (5, 8, 4))],
    "giou": [Case(partial(layers.PatchBoxes, 4, 2, 2), (5, 8, 4), giou_loss)],
    "relative_l1": [Case(partial(layers.PatchBoxes, 4, 2, 2), (5, 8, 4), l1_loss)],
    "detector": [
        Case(
            partial(Detector, **DETECTOR | dict(image_size=(6, 4), norm="post", classes=2)),
            (4, 6, 4, 3),
            detection_loss,
        ),
    ],
    "decoder": [
        Case(
            partial(WritingDecoder, **WRITER | dict(norm="post", shared=False, positions="rotary")),
            (2, 3, 6),
            sequence_loss,
        ),
    ],
    "reader": [
        Case(
            partial(WritingReader, **READER | dict(norm="post", decoder_positions="rotary")),
            (2, 4, 6, 2),
            sequence_loss,
        ),
    ],
    "vit": [
        Case(partial(ViT, **TALL | dict(positions="rotary")), (4, 6, 2, 2), plain_loss),
        Case(partial(ViT, **TALL), (4, 6, 2, 2), plain_loss),
        Case(partial(ViT, **POST), (4, 4, 4, 2), plain_loss),
        Case(partial(ViT, **STEMMED), (4, 9, 5, 2), plain_loss),
    ],
}
