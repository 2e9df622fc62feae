"""How many images go through a model at once.

A line's arrays then stay in the processor's cache, and memory does not grow with the number of
images. Fewer at once cost more calls of NumPy, each for less.
"""

MICRO_BATCH = 2**17  # numbers in one (B, T, D) array, the size that was fastest for all models


def images_at_once(model):
    """At least 1, and so many that an array of their tokens holds about MICRO_BATCH numbers."""
    return max(1, MICRO_BATCH // (model.tokens * model.config["dim"]))
