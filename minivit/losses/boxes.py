"""The losses of detection: GIoU (Rezatofighi et al. 2019, arXiv:1902.09630), L1 and classes."""

import numpy as np

from ..backend import Array, array_module
from .cross_entropy import cross_entropy

GIOU, L1 = 2.0, 1.0  # what they weigh beside the cross-entropy of one patch


def giou(boxes: Array, truth: Array) -> tuple[Array, Array]:
    """Return the generalised intersection over union of pairs of boxes, and its gradient.

        giou = inter / union − (hull − union) / hull

    Arguments
        boxes: (..., 4) left, top, right, bottom; left < right and top < bottom
        truth: (..., 4) likewise, another box for each
    Returns giou (...), from −1 to 1, and dboxes (..., 4): how fast it rises with each side

    inter is the area that both cover, union what one of them does, hull the smallest box around
    both. The first term, IoU, is 0 wherever two boxes are apart, so it does not say which way to
    go; the second does, as it falls with the space between them.

    A side of the box has a say in the intersection where it is the inner one of the two, and in the
    hull where it is the outer one; in the box's own area, and so in the union, always:

        union = area + area of truth − inter
        dinter = 1 / union      dunion = 1 / hull − inter / union²      dhull = −union / hull²

    Comparisons are of real parts, so a complex step goes through them. At a kink a slope between
    those of both sides is taken: where two sides are equal neither the intersection nor the hull
    moves with the box, so equal boxes, the best there are, have gradient 0; and where two boxes
    just touch the intersection stays empty, as it does when they part.
    """
    xp = array_module(boxes)
    # The inner and the outer one of two sides; on the left and the top, the inner is the larger.
    sign = xp.asarray([-1, -1, 1, 1], boxes.real.dtype)
    is_inner = (boxes - truth).real * sign < 0  # (..., 4)
    is_outer = (boxes - truth).real * sign > 0  # (..., 4)
    inner = xp.where(is_inner, boxes, truth)  # (..., 4)
    outer = xp.where(is_outer, boxes, truth)  # (..., 4)
    size = boxes[..., 2:] - boxes[..., :2]  # (..., 2), width and height
    true_size = truth[..., 2:] - truth[..., :2]  # (..., 2)
    hull_size = outer[..., 2:] - outer[..., :2]  # (..., 2)
    inner_size = inner[..., 2:] - inner[..., :2]  # (..., 2)
    meet = (inner_size.real > 0).all(axis=-1)  # (...)
    inter = inner_size[..., 0] * inner_size[..., 1] * meet  # (...)
    hull = hull_size[..., 0] * hull_size[..., 1]  # (...)
    area = size[..., 0] * size[..., 1]  # (...)
    union = area + true_size[..., 0] * true_size[..., 1] - inter  # (...)
    score = inter / union + union / hull - 1  # (...)

    dunion = 1 / hull - inter / union**2  # (...)
    dinter = (1 / union - dunion) * meet  # (...), as union falls when inter rises
    dhull = -union / hull**2  # (...)
    dsize = dunion[..., None] * size[..., ::-1]  # (..., 2), as a width adds area by the height
    dinner_size = dinter[..., None] * inner_size[..., ::-1]  # (..., 2)
    dhull_size = dhull[..., None] * hull_size[..., ::-1]  # (..., 2)
    dboxes = both_ways(dsize)  # (..., 4)
    dboxes = dboxes + both_ways(dinner_size) * is_inner + both_ways(dhull_size) * is_outer
    return score, dboxes


def both_ways(dsize):
    """The gradient of sides, (..., 4), of that of a size: it falls with the left, the top side."""
    return array_module(dsize).concatenate([-dsize, dsize], axis=-1)


def relative_l1(boxes: Array, truth: Array) -> tuple[Array, Array]:
    """Return how far each box's sides are off, as shares of the true size, and the gradient.

        l1 = Σ |side − true side| / true size           over the four sides of each box, (...)

    The slope of |x| is the sign of x; at 0 it is 0.
    """
    xp = array_module(boxes)
    true_size = truth[..., 2:] - truth[..., :2]  # (..., 2)
    scale = xp.concatenate([true_size, true_size], axis=-1)  # (..., 4)
    off = boxes - truth  # (..., 4)
    slope = xp.sign(off.real) / scale  # (..., 4)
    return (slope * off).sum(axis=-1), slope


def detection(answer: Array, targets: Array, *, smoothing: float = 0.0) -> tuple[Array, Array]:
    """Return the loss of a Detector's answers, the mean over the images, and its gradient.

        loss = (1/B) Σ_b [ Σ_patches cross-entropy + Σ_objects 2 (1 − giou) + l1 ]

    Arguments
        answer:    (B, N, K + 5): K + 1 scores, the last for "no object has its middle here", and
                   a box in pixels
        targets:   (B, N, 5): for each patch the number of a class, or K, and a box; `Detector`
                   makes them. The box of a patch without object does not count
        smoothing: of the classes, see `cross_entropy`
    Returns loss, a scalar, and danswer (B, N, K + 5)
    Errors: ValueError if the two do not fit each other.
    """
    B, N, width = answer.shape
    if targets.shape != (B, N, 5):
        raise ValueError(
            f"detection: expected targets {(B, N, 5)} for answers {answer.shape}, got "
            f"{targets.shape}"
        )
    xp, K = array_module(answer), width - 5
    classes = targets[..., 0].astype(np.int64)  # (B, N)
    truth = targets[..., 1:].astype(answer.real.dtype)  # (B, N, 4)
    has_object = (classes < K).astype(answer.real.dtype)  # (B, N)
    scores, boxes = answer[..., : K + 1], answer[..., K + 1 :]
    boxes = xp.where(has_object[..., None] > 0, boxes, truth)  # (B, N, 4), as inf · 0 is nan
    flat = scores.reshape(B * N, K + 1)
    class_loss, dflat = cross_entropy(flat, classes.reshape(B * N), smoothing=smoothing)
    overlap, doverlap = giou(boxes, truth)
    distance, ddistance = relative_l1(boxes, truth)
    box_losses = GIOU * (1 - overlap) + L1 * distance  # (B, N)
    loss = N * class_loss + (has_object * box_losses).sum() / B
    share = has_object[..., None] / B  # (B, N, 1)
    dboxes = share * (L1 * ddistance - GIOU * doverlap)  # (B, N, 4)
    danswer = xp.concatenate([N * dflat.reshape(B, N, K + 1), dboxes], axis=-1)
    return loss, danswer
