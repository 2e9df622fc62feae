"""Checks of hand-written gradients against numbers that know nothing of the chain rule."""

from .gradcheck import gradcheck
from .structure import structure

__all__ = ["gradcheck", "structure"]
