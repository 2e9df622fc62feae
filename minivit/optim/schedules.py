"""Learning-rate schedules: the rate of each step, as a plain function of its number."""

import math


def warmup_linear(step: int, *, steps: int, warmup: int, peak: float) -> float:
    """Learning rate of `step` (0 … steps − 1): up to `peak` in `warmup` steps, then down to 0."""
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return peak * (steps - step) / (steps - warmup)


def warmup_cosine(step: int, *, steps: int, warmup: int, peak: float) -> float:
    """The same way up, then half a cosine down (Loshchilov and Hutter 2016, arXiv:1608.03983)."""
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def warmup_inverse_sqrt(step: int, *, warmup: int, peak: float) -> float:
    """The same way up, then down as 1/√step, which no last step ends (Vaswani et al. 2017, eq. 3).

    The paper's own peak is 1 / √(dim · warmup).
    """
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return peak * math.sqrt((warmup + 1) / (step + 1))
