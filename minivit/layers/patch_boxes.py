"""Boxes from what the patches say (as in YOLO, Redmon and Farhadi 2016, arXiv:1612.08242, 2)."""

import numpy as np

from ..backend import array_module, beside
from .refusals import expect_shape, positive_integers


class PatchBoxes:
    """Each patch says where a box around it has its middle, and how large it is.

        middle = place + P · x[0:2]      size = P · exp(x[2:4])
        y = (middle − size / 2, middle + size / 2)

    Params   none
    Forward  x (B, N, 4) -> y (B, N, 4): left, top, right, bottom, in pixels
    Cache    size
    Errors   ValueError if x is not (B, N, 4)

    `place` is the middle of each patch, so x = 0 says: a box as large as a patch, here. An exp is
    positive, so no box is inside out, whatever x is.

    A side moves as much as the middle does, and half as much as the size, to either side:

        dmiddle = dy[0:2] + dy[2:4]      dsize = (dy[2:4] − dy[0:2]) / 2
        dx = (P · dmiddle, size · dsize)

    The slope of an exp is itself: a large box grows by a share of its size, as a small one does.
    """

    def __init__(self, rows, columns, patch_size):
        self.rows, self.columns, self.patch_size = positive_integers(
            "PatchBoxes", rows=rows, columns=columns, patch_size=patch_size
        )

    def places(self):
        """The middle (x, y) of each patch, row by row, in pixels: (N, 2) float64."""
        P = self.patch_size
        down, across = np.indices((self.rows, self.columns)).reshape(2, -1)
        return np.stack([(across + 0.5) * P, (down + 0.5) * P], axis=1)

    def forward(self, x):
        expect_shape("PatchBoxes", x, "B", self.rows * self.columns, 4)
        xp, P = array_module(x), self.patch_size
        place = beside(self.places().astype(x.real.dtype), x)  # (N, 2)
        middle = place + P * x[..., :2]  # (B, N, 2)
        size = P * xp.exp(x[..., 2:])  # (B, N, 2)
        y = xp.concatenate([middle - size / 2, middle + size / 2], axis=-1)  # (B, N, 4)
        return y, {"size": size}

    def backward(self, dy, cache):
        xp, P, size = array_module(dy), self.patch_size, cache["size"]
        dmiddle = dy[..., :2] + dy[..., 2:]  # (B, N, 2)
        dsize = (dy[..., 2:] - dy[..., :2]) / 2  # (B, N, 2)
        dx = xp.concatenate([P * dmiddle, size * dsize], axis=-1)  # (B, N, 4)
        return dx
