"""How many images go through a model at once.

A line's arrays then stay in the processor's cache, and memory does not grow with the number of
images. Fewer at once cost more calls of NumPy, each for less. A GPU has thousands of cores to keep
busy, and pays more for a call: it takes more at once, as many as memory is likely to hold.
"""

from ..backend import device_of

MICRO_BATCH = 2**17  # numbers in one (B, T, D) array, the size that was fastest for all models
GPU_BATCH = 2**22  # numbers in the largest array, (B, T, D) or (B, h, T, T): 16 MB; a guess so far


def images_at_once(model, params):
    """At least 1, and so many that an array of their tokens holds about so many numbers."""
    T, D, h = model.tokens, model.config["dim"], model.config["heads"]
    if device_of(params.flat) == "cpu":
        return max(1, MICRO_BATCH // (T * D))
    return max(1, GPU_BATCH // (T * max(D, h * T)))
