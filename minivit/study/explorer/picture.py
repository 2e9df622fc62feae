"""A picture of a digit as the model knows digits: light ink on black, in the middle."""

import cv2
import numpy as np

INK = 0.3  # of the strongest ink, from which on a pixel belongs to the digit
MARGIN = 1 / 7  # on each side, as in MNIST, whose digits are 20 of 28 pixels long


def read_picture(path, height, width):
    """Return the digit in an image file as (height, width) uint8.

    The background is the median of the picture's edge; what differs from it most is ink. The box
    around the ink is brought to the size that digits have in MNIST, and put into the middle.

    Errors: OSError for a file that cannot be read; ValueError for no image, or one without ink.
    """
    with open(path, "rb") as file:
        data = np.frombuffer(file.read(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    if image is None:
        raise ValueError(f"{path} is no image that OpenCV can read; expected a PNG, a JPEG, …")
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    difference = image.astype(np.float32) - np.median(edge)
    strength = np.maximum(difference * np.sign(difference.flat[np.abs(difference).argmax()]), 0)
    if strength.max() < 20:
        raise ValueError(
            f"{path} is of one tone; expected a digit that differs from its background"
        )
    rows, columns = np.nonzero(strength >= INK * strength.max())
    box = strength[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = (1 - 2 * MARGIN) * min(height / box.shape[0], width / box.shape[1])
    size = [max(1, round(side * scale)) for side in box.shape]
    small = cv2.resize(box, size[::-1], interpolation=cv2.INTER_AREA)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    digit = np.zeros((height, width), np.uint8)
    digit[top : top + size[0], left : left + size[1]] = 255 * small / small.max()
    return digit
