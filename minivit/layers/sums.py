"""Sums and means as products with a vector: up to ten times as fast as `.sum` over a short axis."""

from ..backend import array_module


def sum_features(x, w):
    """Σ x · w over the last axis, which stays as an axis of size 1: (..., D), (D,) -> (..., 1)."""
    rows = x.reshape(-1, x.shape[-1])  # (R, D)
    return (rows @ w).reshape(*x.shape[:-1], 1)  # (..., 1)


def mean_features(x):
    """The mean over the last axis, which stays as an axis of size 1: (..., D) -> (..., 1)."""
    D = x.shape[-1]
    shares = array_module(x).full(D, 1 / D, x.dtype)  # (D,)
    return sum_features(x, shares)  # (..., 1)


def sum_rows(x):
    """Σ over all axes but the last: (..., D) -> (D,)."""
    rows = x.reshape(-1, x.shape[-1])  # (R, D)
    return array_module(x).ones(len(rows), x.dtype) @ rows  # (D,)
