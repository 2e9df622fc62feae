"""Printed digits and letters, and which of them a run reads without a warning.

.venv/bin/python -m tests.printed_signs runs/mnist
"""

import math
import sys
import tempfile
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import minivit
from demos.predict import SURE, answer
from minivit.data.scans import LEAST_ALIKE, likeness

FONTS = ["DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral", "OpenCV"]  # with matplotlib
LETTERS = "ACDEFGHJKLMNPQRTUVWXYacdefhjkmnprtuvwxy"  # unlike any digit
LIKE_DIGITS = "OoIliZzSsBbgq"


def printed(font, sign, rng):
    """A page of 200 to 600 pixels, and a sign of 0.25 to 0.7 of it somewhere, dark on light."""
    side = int(rng.integers(200, 601))
    height = int(side * rng.uniform(0.25, 0.7))
    paper, ink = int(rng.integers(200, 256)), int(rng.integers(0, 60))
    if font == "OpenCV":
        page = np.full((side, side), paper, np.uint8)
        (width, tall), _ = cv2.getTextSize(sign, cv2.FONT_HERSHEY_SIMPLEX, 1, 1)
        left = rng.integers(5, side - width * height // tall - 5)
        place = int(left), int(rng.integers(height + 5, side - 5))
        cv2.putText(page, sign, place, cv2.FONT_HERSHEY_SIMPLEX, height / tall, ink, 2)
        return page
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{font}.ttf")
    letters = ImageFont.truetype(file, math.floor(height * 1.37))  # a digit is 0.73 of its size
    page = Image.new("L", (side, side), paper)
    draw = ImageDraw.Draw(page)
    left, top, right, bottom = draw.textbbox((0, 0), sign, font=letters)
    x, y = rng.integers(5, side - (right - left) - 5), rng.integers(5, side - (bottom - top) - 5)
    draw.text((x - left, y - top), sign, fill=ink, font=letters)
    return np.asarray(page)


def ruled(page):
    """The page with grey lines of 2 pixels, 40 apart."""
    lines = np.full_like(page, 255)
    lines[20::40] = lines[21::40] = 150
    return np.minimum(page, lines)


def boxed(page):
    """The page with a dark frame around the sign, 8 pixels from it where there is room."""
    rows, columns = (np.flatnonzero((page < 128).any(axis=axis)) for axis in (1, 0))
    top, left = max(2, rows[0] - 8), max(2, columns[0] - 8)
    bottom, right = (min(len(page) - 3, places[-1] + 8) for places in (rows, columns))
    return cv2.rectangle(page.copy(), (int(left), int(top)), (int(right), int(bottom)), 30, 3)


def printed_answers(classifier, signs, count, seed, change=np.asarray):
    """A run's answers to `count` pages of each sign in each font, after `change`."""
    rng, answers = np.random.default_rng(seed), []
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "page.png"))
        for font in FONTS:
            for sign in np.repeat(list(signs), count):
                cv2.imwrite(path, change(printed(font, str(sign), rng)))
                answers.append((str(sign), answer(classifier, *classifier.read(path))))
    return answers


def main(run):
    classifier = minivit.Classifier.load(run)
    for name, signs, count, *how in (
        ("digits", "0123456789", 20, 7),
        ("digits on ruled paper", "0123456789", 20, 7, ruled),
        ("digits in a drawn box", "0123456789", 20, 7, boxed),
        ("letters unlike any digit", LETTERS, 1, 8),
        ("letters like a digit", LIKE_DIGITS, 1, 9),
    ):
        answers = printed_answers(classifier, signs, count, *how)
        warned = sum(bool(reply["warnings"]) for _, reply in answers)
        right = sum(reply["class"] == sign for sign, reply in answers)
        read = f", {right} are read right" if "digits" in name else ""
        print(f"{warned} of {len(answers)} printed {name} get a warning{read}")
    images = minivit.load_digits().test.images
    unsure = classifier.predict(images).max(axis=1) < SURE
    unlike = np.array([likeness(image) < LEAST_ALIKE for image in images])
    print(f"{(unsure | unlike).sum():,} of MNIST's {len(images):,} test digits do")


if __name__ == "__main__":
    main(*sys.argv[1:])
