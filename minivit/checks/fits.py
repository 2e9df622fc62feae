"""When two arrays of slopes count as the same."""

import numpy as np

FITS = 1e-5  # relative; central differences are that exact, and more


def fits(a, b):
    """Whether a is b, but for what numerical slopes leave open."""
    scale = np.abs(b).max(initial=0)
    return bool(scale > 0 and np.abs(a - b).max() <= FITS * scale)
