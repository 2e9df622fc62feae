"""Lower learning rates for lower layers (Clark et al. 2020, ELECTRA, arXiv:2003.10555, app. A)."""

import re

from ..backend import Array
from ..params import Params


def layer_rates(params: Params, decay: float) -> Array:
    """Return a (n,) vector of flat's dtype: what the learning rate of each number is multiplied by.

        1              head, last layer norm, and whatever else comes after the blocks
        decay^(L − i)  block i, from 0 to L − 1
        decay^(L + 1)  stem, patches, class token, positions

    A pretrained network already sees well; most of what a new task asks for is far up. So each
    layer moves a little less than the one above it (Bao et al. 2021, BEiT, arXiv:2106.08254, for
    Vision Transformers). Errors: ValueError unless 0 < decay ≤ 1.
    """
    if not 0 < decay <= 1:
        raise ValueError(f"layer_rates: decay must be more than 0 and at most 1, got {decay!r}")
    rates, depth = params.zeros_like(), len(params["blocks"])
    for name, place in rates.named():
        if block := re.match(r"blocks\.(\d+)\.", name):
            place[...] = decay ** (depth - int(block[1]))
        elif name.partition(".")[0] in ("stem", "patches", "cls", "pos"):
            place[...] = decay ** (depth + 1)
        else:
            place[...] = 1
    return rates.flat
