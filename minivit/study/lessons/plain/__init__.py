"""Layers in plain NumPy, as an exercise shows them: the engine's numbers without its speed.

Each file is an exercise, and its backward is the solution.
"""

from .adam import Adam
from .attention import Attention
from .cross_entropy import CrossEntropy
from .layernorm import LayerNorm
from .patches import Patches
from .softmax import Softmax

__all__ = ["Adam", "Attention", "CrossEntropy", "LayerNorm", "Patches", "Softmax"]
