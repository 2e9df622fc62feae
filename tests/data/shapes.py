"""Made-up photos: coloured circles, squares and triangles, in files of many sizes and kinds.

.venv/bin/python -m tests.data.shapes FOLDER [--count 300] [--seed 0]
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

CLASSES = ["circle", "square", "triangle"]
ENDINGS = [".png", ".jpg", ".webp", ".bmp", ".tiff", ".JPEG"]
SIDES = 40, 161  # pixels


def shape(name, rng):
    """A picture (H, W, 3) uint8: a bright shape on dark ground, nearly upright."""
    height, width = (int(side) for side in rng.integers(*SIDES, 2))
    paper, ink = rng.integers(0, 100, 3), rng.integers(120, 256, 3)
    picture = np.full((height, width, 3), paper, np.uint8)
    radius = min(height, width) * rng.uniform(0.25, 0.4)
    middle = np.array([width, height]) / 2 + radius * rng.uniform(-0.2, 0.2, 2)
    color = ink.tolist()
    if name == "circle":
        cv2.circle(picture, np.rint(middle).astype(int).tolist(), round(radius), color, -1)
    else:
        corners = {"square": 4, "triangle": 3}[name]
        upright = {"square": np.pi / 4, "triangle": -np.pi / 2}[name]
        turn = upright + np.radians(rng.uniform(-15, 15))
        angles = turn + 2 * np.pi / corners * np.arange(corners)
        points = middle + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        cv2.fillPoly(picture, [np.rint(points).astype(np.int32)], color)
    noise = rng.normal(0, 8, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def write_shapes(folder, count, seed=0):
    """Write FOLDER/circle/000.png and so on, `count` of each class; return the folder."""
    rng = np.random.default_rng(seed)
    for name in CLASSES:
        Path(folder, name).mkdir(parents=True)
        for number in range(count):
            path = Path(folder, name, f"{number:03}{ENDINGS[number % len(ENDINGS)]}")
            assert cv2.imwrite(str(path), shape(name, rng))
    return Path(folder)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.data.shapes", description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="the folder to create")
    parser.add_argument("--count", type=int, default=300, help="images of each class")
    parser.add_argument("--seed", type=int, default=0, help="random seed")
    options = parser.parse_args(argv)
    write_shapes(options.folder, options.count, options.seed)


if __name__ == "__main__":
    main()
