"""Images at another size, within a limit, and what OpenCV refuses told in one line."""

import contextlib

import cv2

MOST_PIXELS = 2**25  # as floats, 12 bytes a pixel, 400 MB


def resize(image, height, width):
    """Return the image (H, W) or (H, W, C), float in [0, 1], at another size, float in [0, 1].

    An axis that shrinks is averaged over areas, so that nothing is skipped; one that grows is
    interpolated by cubics, and what these overshoot is cut. Errors: those of `expect_size`;
    ValueError if OpenCV cannot do it.
    """
    expect_size(height, width)
    H, W = image.shape[:2]
    smaller = (min(W, width), min(H, height))
    with refused_by_name(f"resize to {height} x {width}"):
        resized = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
        resized = cv2.resize(resized, (width, height), interpolation=cv2.INTER_CUBIC)
    return resized.clip(0, 1).reshape(height, width, *image.shape[2:])


def expect_size(height, width):
    """Refuse a size that no image is brought to. Errors: ValueError below 1, above 2**25 pixels."""
    if height < 1 or width < 1:
        raise ValueError(f"resize: height and width are at least 1, got {height} x {width}")
    if height * width > MOST_PIXELS:
        raise ValueError(
            f"resize: expected at most {MOST_PIXELS:,} pixels, got {height} x {width}; ask for less"
        )


@contextlib.contextmanager
def refused_by_name(name):
    """What OpenCV cannot do inside the `with`, most often for want of memory, is a ValueError."""
    try:
        yield
    except cv2.error as error:
        reason = " ".join(error.err.split())
        raise ValueError(
            f"{name} is too much for OpenCV: {reason}; try something smaller"
        ) from None
