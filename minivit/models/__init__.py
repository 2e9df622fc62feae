"""Models: the encoder, which turns images into tokens, and what stands on it."""

from .cnn import CNN
from .encoder import Encoder
from .vit import ViT

__all__ = ["CNN", "Encoder", "ViT"]
