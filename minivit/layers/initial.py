"""Initial values: the truncated normal, as in `jax.nn.initializers.variance_scaling`."""

import math

# The standard deviation of a standard normal cut at ±2: √(1 − 4 φ(2) / (2 Φ(2) − 1)) = 0.8796
_STD_OF_CUT_NORMAL = math.sqrt(
    1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2))
)


def truncated_normal(rng, shape, std, dtype):
    """Draw normal numbers, those beyond two standard deviations again, and scale them to `std`.

    The std is corrected for the truncation: it is the std of the numbers returned, not of the
    normal that was cut. Drawn in float64 and cast last, so that one seed gives the same model in
    every dtype.
    """
    numbers = rng.standard_normal(shape)
    while (outside := abs(numbers) > 2).any():
        numbers[outside] = rng.standard_normal(outside.sum())
    return (numbers * (std / _STD_OF_CUT_NORMAL)).astype(dtype)
