"""See what a model computes and what flows back through it."""

from .tracing.nudge import nudge
from .tracing.trace import trace

__all__ = ["nudge", "trace"]
