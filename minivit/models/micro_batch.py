"""How many images go through a model at once.

In small batches a line's arrays stay in the processor's cache, and memory does not grow with the
number of images; but each call of NumPy then does less. A GPU has thousands of cores to keep busy
and pays more for a call, so it takes as many images as its memory is likely to hold.
"""

from ..backend import device_of

MICRO_BATCH = 2**17  # numbers in one (B, T, D) array, the size that was fastest for all models
GPU_BATCH = 2**22  # numbers in the largest array, (B, T, D) or (B, h, T, T): 16 MB; a guess so far


def images_at_once(model, params):
    """The number of images whose largest array has about as many numbers; at least 1."""
    if device_of(params.flat) == "cpu":
        return max(1, MICRO_BATCH // model.numbers)
    return max(1, GPU_BATCH // model.most_numbers)
