"""Mean square error on the missing patches (He et al. 2021, arXiv:2111.06377, section 3)."""

import numpy as np

from ..backend import Array, array_module, beside

EPS = 1e-2  # added to a patch's variance, so that one without any contrast has a form of zeros


def reconstruction(painted: Array, patches: Array, seen: np.ndarray) -> tuple[np.floating, Array]:
    """Return the mean loss over the missing patches, and its gradient.

        target = [(patch − mean) / std, mean, std]      of each patch's own numbers
        loss = mean (painted − target)²                 over the patches that were not seen
        dpainted = 2 (painted − target) / count         and 0 where a patch was seen

    Arguments
        painted: (B, N, P·P·C + 2) any finite numbers
        patches: (B, N, P·P·C) of the normalised images, in painted's dtype (layers/patches.py)
        seen:    (B, M) the places of the patches that the encoder saw, an array of NumPy's
    Returns loss, a scalar of painted's dtype, and dpainted (B, N, P·P·C + 2)
    Errors: ValueError if the shapes do not fit, or no patch is missing

    A square counts large errors most, and these are where a patch is bright. So each patch is
    brought to mean 0 and variance 1, and its form counts as much in the dark. How bright it is and
    how strong its contrast are two numbers more, without which nobody could paint it.
    """
    seen = np.asarray(seen)
    B, N, numbers = patches.shape if patches.ndim == 3 else (0, 0, 0)
    if B == 0 or painted.shape != (B, N, numbers + 2) or seen.ndim != 2 or len(seen) != B:
        raise ValueError(
            "reconstruction: expected painted (B, N, P·P·C + 2), patches (B, N, P·P·C) and seen "
            f"(B, M), got {painted.shape}, {patches.shape} and {seen.shape}"
        )
    missing = np.ones((B, N, 1), bool)
    missing[np.arange(B)[:, None], seen] = False
    count = int(missing.sum()) * (numbers + 2)
    if count == 0:
        raise ValueError("reconstruction: no patch is missing; there is nothing to paint")
    mask = beside(missing, painted).astype(painted.dtype)  # (B, N, 1)
    error = painted - target_of(patches)  # (B, N, P·P·C + 2)
    error *= mask
    loss = (error * error).sum() / count
    dpainted = error * (2 / count)  # (B, N, P·P·C + 2)
    return loss, dpainted


def target_of(patches: Array) -> Array:
    """The form of patches (B, N, P·P·C), their mean and std, in one array (B, N, P·P·C + 2)."""
    xp, numbers = array_module(patches), patches.shape[-1]
    mean = patches.sum(axis=-1, keepdims=True) / numbers  # (B, N, 1)
    centered = patches - mean  # (B, N, P·P·C)
    variance = (centered * centered).sum(axis=-1, keepdims=True) / numbers  # (B, N, 1)
    std = xp.sqrt(variance + EPS)  # (B, N, 1)
    return xp.concatenate([centered / std, mean, std], axis=-1)  # (B, N, P·P·C + 2)


def patches_of(target: Array) -> Array:
    """The patches (B, N, P·P·C) of a target, or of what was painted, (B, N, P·P·C + 2)."""
    form, mean, std = target[..., :-2], target[..., -2:-1], target[..., -1:]
    return form * std + mean  # (B, N, P·P·C)
