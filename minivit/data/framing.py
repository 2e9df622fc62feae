"""How much of a picture a model is shown, and how that is resized to the model's input."""

import numbers
from dataclasses import dataclass

INTERPOLATIONS = ("area", "bilinear", "bicubic")


@dataclass(frozen=True)
class Framing:
    """The middle of a picture, or all of it squashed, at the size that a model takes.

    crop:          each side of the middle, as a share from 0.01 to 1 of the largest part of the
                   picture with the model's proportions: 0.875 = 224/256 is what is left if the
                   shorter side is resized to 256 and 224 x 224 pixels are cut from the middle
    squash:        whether the whole picture is brought to the model's proportions first
    interpolation: "area", that of `images.resize`; or "bilinear" or "bicubic" as Pillow does it, on
                   bytes and averaging where it shrinks, as published models were trained

    Errors: ValueError for anything else.
    """

    crop: float = 1.0
    squash: bool = False
    interpolation: str = "area"

    def __post_init__(self):
        if not (isinstance(self.crop, numbers.Real) and 0.01 <= self.crop <= 1):
            raise ValueError(f"crop is a share from 0.01 to 1, got {self.crop!r:.40}")
        if not isinstance(self.squash, bool):
            raise ValueError(f"squash is true or false, got {self.squash!r:.40}")
        if self.interpolation not in INTERPOLATIONS:
            known = ", ".join(INTERPOLATIONS)
            raise ValueError(f"interpolation is one of {known}, got {self.interpolation!r:.40}")

    def part(self, H: int, W: int, height: int, width: int) -> tuple[int, int]:
        """Return the size (h, w) of the middle of a picture H x W that becomes height x width."""
        tall, wide = H / height, W / width  # pixels of the picture to one of the model
        if not self.squash:
            tall = wide = min(tall, wide)
        return max(1, round(self.crop * tall * height)), max(1, round(self.crop * wide * width))

    def whole(self, H: int, W: int, height: int, width: int) -> tuple[int, int]:
        """Return the size of a picture H x W when its middle is height x width.

        Rounded down as torchvision's `Resize` does.
        """
        rows, columns = (int(side / self.crop + 1e-6) for side in (height, width))  # 224/230 too
        if self.squash:
            return rows, columns
        if H * columns < W * rows:
            return rows, rows * W // H
        return columns * H // W, columns


MIDDLE = Framing()  # all of the middle
