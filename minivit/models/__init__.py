"""Models: the encoder, which turns images into tokens, and what stands on it."""

from .cnn import CNN
from .detector import Detector
from .encoder import Encoder
from .masked import Masked
from .permutation import Permutation
from .vit import ViT

__all__ = ["CNN", "Detector", "Encoder", "Masked", "Permutation", "ViT"]
