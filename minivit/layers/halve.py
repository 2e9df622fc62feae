"""Subsampling (LeCun et al. 1998, "Gradient-based learning applied to document recognition")."""

from ..backend import array_module
from .refusals import expect_shape


class Halve:
    """Each square of 2 x 2 pixels becomes one, their mean.

    Params   none
    Forward  x (B, H, W, C) -> y (B, H/2, W/2, C)
    Cache    nothing
    Errors   ValueError if the height or the width is odd

    Each pixel had a share of ¼ in y, so each gets ¼ of dy.
    """

    def forward(self, x):
        expect_shape("Halve", x, "B", "H", "W", "C")
        B, H, W, C = x.shape
        if H % 2 or W % 2:
            raise ValueError(f"Halve: {H} x {W} pixels cannot be halved; expected even sides")
        squares = x.reshape(B, H // 2, 2, W // 2, 2, C)  # (B, H/2, 2, W/2, 2, C)
        y = squares.mean(axis=(2, 4))  # (B, H/2, W/2, C)
        return y, {}

    def backward(self, dy, cache):
        xp = array_module(dy)
        share = dy / 4  # (B, H/2, W/2, C)
        dx = xp.repeat(xp.repeat(share, 2, axis=1), 2, axis=2)  # (B, H, W, C)
        return dx
