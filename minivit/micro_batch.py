"""How many images go through a model at once.

A line's arrays then stay in the processor's cache, and memory does not grow with the number of
images. Fewer at once cost more calls of NumPy, each for less. A GPU has thousands of cores to keep
busy, and each call costs it more: it takes more at once (so far a guess, as none could be tried).
"""

from .backend import device_of

MICRO_BATCH = {  # numbers in one (B, T, D) array
    "cpu": 2**17,  # the size that was fastest for all models
    "cuda": 2**22,
}


def images_at_once(model, params):
    """At least 1, and so many that an array of their tokens holds about MICRO_BATCH numbers."""
    numbers = MICRO_BATCH[device_of(params.flat)]
    return max(1, numbers // (model.tokens * model.config["dim"]))
