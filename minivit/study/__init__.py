"""Seeing what a model does and what flows back through it."""

from .nudge import nudge
from .trace import trace

__all__ = ["nudge", "trace"]
