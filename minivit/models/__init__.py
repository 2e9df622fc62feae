"""Models: the encoder, which turns images into tokens, and what stands on it."""

from .cnn import CNN
from .decoder import Decoder
from .detector import Detector
from .encoder import Encoder
from .masked import Masked
from .permutation import Permutation
from .reader import Reader
from .seq2seq import Seq2Seq
from .vit import ViT

__all__ = [
    "CNN",
    "Decoder",
    "Detector",
    "Encoder",
    "Masked",
    "Permutation",
    "Reader",
    "Seq2Seq",
    "ViT",
]
