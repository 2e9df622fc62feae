"""Models: the encoder, which turns images into tokens, and what stands on it."""

from .encoder import Encoder
from .vit import ViT

__all__ = ["Encoder", "ViT"]
