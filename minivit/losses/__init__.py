"""Losses: each returns its value and the gradient of what it was given."""

from .boxes import detection, giou, relative_l1
from .cross_entropy import checked_labels, cross_entropy
from .reconstruction import reconstruction
from .sequence import sequence_cross_entropy

__all__ = [
    "checked_labels", "cross_entropy", "detection", "giou", "reconstruction", "relative_l1",
    "sequence_cross_entropy",
]  # fmt: skip
