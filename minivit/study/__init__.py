"""Seeing what a model does and what flows back through it."""
