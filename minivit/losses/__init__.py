"""Losses: each returns its value and the gradient of what it was given."""

from .cross_entropy import checked_labels, cross_entropy
from .reconstruction import reconstruction

__all__ = ["checked_labels", "cross_entropy", "reconstruction"]
