"""Published Vision Transformers: their weights in, ours out in their layouts."""

from .load import load
from .positions import resize_matrix
from .save import save

__all__ = ["load", "resize_matrix", "save"]
