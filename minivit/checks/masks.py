"""Whether a dropout leaves out what it should: each number, and each image, by itself."""

import copy
import math

import numpy as np

SHAPE = (2, 3)  # of an image
RATE = 0.5  # at which a dropout is tried if its own rates are zero
LOG_ODDS = math.log(1e12)  # of a right mask being called wrong, one in so many comparisons


def mask_fault(dropout, rng):
    """Say how the masks of a `Dropout` are wrong, or return None.

    Of thousands of images of ones, a share of the numbers is kept, and a share of the pairs: of two
    numbers of an image, and of numbers of two images. Each must be what its rates say, to within
    what chance allows.
    """
    dropout = copy.copy(dropout)
    if dropout.rate == dropout.path_rate == 0:
        dropout.rate = dropout.path_rate = RATE
    kept, path_kept = 1 - dropout.rate, 1 - dropout.path_rate
    share = kept * path_kept
    count = min(2 * math.ceil(2000 / max(share, 1e-6)), 200_000)
    ones = np.ones((count, *SHAPE))
    with np.errstate(all="ignore"):
        y, again = (np.array(dropout.forward(ones, rng)[0]).reshape(count, -1) for _ in "ab")
    mean = float(y.mean())
    if not share * abs(mean - 1) <= chance(share, len(y)):
        return f"turns 1 into {mean:.2f} on average"
    if np.array_equal(y, again):
        return "leaves out the same numbers in every pass"
    images = (y != 0).astype(float)
    first, second = images[::2], images[1::2]  # of each pair of images
    pairs = len(first)
    if not likely(first.T @ second / pairs, share**2, pairs):
        return "leaves out the same numbers in several images: each image needs a mask of its own"
    of_an_image = first.T @ first / pairs
    if not likely(np.diag(of_an_image), share, pairs):
        return f"keeps a share of {images.mean():.3f}, not of {share:.3f} as its rates say"
    others = of_an_image[~np.eye(len(of_an_image), dtype=bool)]
    if not likely(others, kept**2 * path_kept, pairs):
        each = "each number of an image by itself" if dropout.rate else "an image as a whole"
        return f"does not leave out {each}"
    return None


def likely(shares, expected, count):
    """Whether observed shares, each of `count` draws, are what is expected."""
    return bool((abs(shares - expected) <= chance(expected, count)).all())


def chance(share, count):
    """How far from `share` chance takes what is observed in `count` draws (Bernstein's bound)."""
    spread = 2 * share * (1 - share) * LOG_ODDS / count
    return math.sqrt(spread) + LOG_ODDS / count + 1e-9
