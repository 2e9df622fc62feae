"""Small pictures, and their bytes in any format, for tests."""

import io

import numpy as np
from PIL import Image

RGB = np.zeros((12, 20, 3), np.uint8)  # four corners that differ, on grey
RGB[:] = 128
RGB[:6, :10], RGB[:6, 10:], RGB[6:, :10] = (250, 20, 30), (40, 240, 10), (30, 60, 220)
NOISE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
OPTIONS = {"JPEG": {}, "PNG": {}, "WEBP": {"lossless": True}, "BMP": {}, "TIFF": {}}


def saved(image, kind, **options):
    """The bytes of a file of an array or a Pillow image."""
    file = io.BytesIO()
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(file, kind, **options)
    return file.getvalue()
