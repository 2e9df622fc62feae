"""A trained detector and everything that it takes to use it: what is where in an image.

runs/detect/weights.safetensors     the parameters; and config.json, checksums.json: classifier.py
"""

import math
from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from .classifier import Classifier
from .data.digits import Split
from .layers import Softmax
from .models import Detector

FAINTEST = 0.01  # confidence of a detection that is kept; COCO counts even the faint ones
AT_EDGE = 1.0  # pixels
SAME = 0.5  # IoU of two boxes of a class from which they are one object
DIGIT = 0.3  # the side of a digit in a scene, where it is seen best, as a share of the scene's
MOST = 100  # detections of an image, which is what COCO's rules count


class Found(NamedTuple):
    """What was found in a picture of one's own, and why that may mislead.

    pixels:     (H, W, C) uint8, as the model reads it, all at once or through windows
    detections: (M, 6) see `Finder.find`, in pixels of the picture
    """

    pixels: np.ndarray
    detections: np.ndarray
    warnings: list[str]


class Finder(Classifier):
    """Says what is where in an image.

        finder = Finder.load("runs/detect")
        for number, left, top, right, bottom, confidence in finder.find(images)[0]:
            print(finder.classes[int(number)], confidence)

    It has the attributes of a Classifier; its model is a Detector, whose answers, (n, N, K + 5),
    `logits` returns.
    """

    kinds = (Detector,)

    def evaluate(self, split: Split, mapper: Callable = map) -> tuple[float, float, np.ndarray]:
        """Return the loss, the share of objects that are named, and the answers (n, N, K + 5).

        split.labels: (n, N, 5), see `Detector.targets`
        Both are nan without images, and the share without objects. Errors: those of `logits`.
        """
        answers = self.logits(split.images, mapper)
        if len(answers) == 0:
            return math.nan, math.nan, answers
        loss, _, right, asked = self.model.grade(answers, None, split.labels)
        return float(loss), float(right) / asked if asked else math.nan, answers

    def find(
        self, images: Iterable[np.ndarray], mapper: Callable = map, least: float = FAINTEST
    ) -> list[np.ndarray]:
        """Return for each raw image its detections, (M, 6) float64, the most confident first.

        A detection is a class, a box (left, top, right, bottom) in pixels, and the confidence: the
        probability that the patch gives the class. Of boxes of one class that cover each other by
        more than half, only the most confident stays.
        least: confidence from which a detection counts
        Errors: those of `Classifier.logits`.
        """
        return detections(self.logits(images, mapper), self.model.config["image_size"], least)

    def find_in_picture(self, source: str | PathLike[str], least: float = 0.5) -> Found:
        """Find what is in a picture, a file or a URL; errors are those of `load_image`."""
        from .data.images import load_image

        return self.find_in_image(load_image(source), least)

    def find_in_image(self, image: np.ndarray, least: float = 0.5) -> Found:
        """Find what is in a picture (H, W, 3), floats from 0 to 1.

        For a model of MNIST's digits, the ink is found and drawn as in MNIST, and the picture is
        looked at through windows, in which the digits are as large as in the scenes. For any other
        model, the picture is resized to fit into the model's images.
        """
        from .data.letterbox import contain
        from .data.scans import ink_of_digits

        H, W = self.model.config["image_size"]
        warnings: list[str] = []
        if self.reads_digits:
            pixels, warnings = ink_of_digits(image, round(DIGIT * min(H, W)))
            found, scale = self.find_in_windows(pixels, least), pixels.shape[0] / image.shape[0]
        else:
            if self.model.config["channels"] == 1:
                image = image.mean(axis=-1, keepdims=True)
            pixels, scale = contain(image, H, W)
            (found,) = self.find(pixels[None], least=least)
        height, width = image.shape[:2]
        found[:, 1:5] = (found[:, 1:5] / scale).clip(0, [width, height, width, height])
        return Found(pixels, found, warnings)

    def find_in_windows(self, pixels: np.ndarray, least: float = FAINTEST) -> np.ndarray:
        """Find what is in raw pixels (H, W, C) of any size; return detections as `find` does.

        The model looks through windows of its own size, which overlap by half. A box at an edge of
        a window may be a part of something, and does not count unless the picture ends there too.
        Windows may disagree on a class: of boxes that cover each other by more than half, only the
        most confident stays, whatever the classes are.
        """
        from .data.windows import windows

        H, W = pixels.shape[:2]
        views, places = windows(pixels, *self.model.config["image_size"])
        all_found = [np.empty((0, 6))]
        for found, (row, column), view in zip(
            self.find(views, least=least), places, views, strict=True
        ):
            ends = np.array([0, 0, view.shape[1], view.shape[0]])
            at_edge = abs(found[:, 1:5] - ends) < AT_EDGE
            moved = found + np.array([0, column, row, column, row, 0])
            inside = abs(moved[:, 1:5].clip(0, [W, H, W, H]) - [0, 0, W, H]) >= AT_EDGE
            all_found.append(moved[~(at_edge & inside).any(axis=1)])
        found = np.concatenate(all_found)
        found[:, 1:5] = found[:, 1:5].clip(0, [W, H, W, H])
        return surest(found, least, np.zeros(len(found), int))

    @property
    def reads_digits(self) -> bool:
        """Whether the model was trained on scenes of digits in MNIST's form."""
        return self.model.config["channels"] == 1 and self.classes == [str(d) for d in range(10)]


def detections(answers: np.ndarray, size: Any, least: float = FAINTEST) -> list[np.ndarray]:
    """Return for each image its detections, (M, 6), see `Finder.find`, of answers (n, N, K + 5)."""
    if len(answers) == 0:
        return []
    H, W = size
    probabilities, _ = Softmax().forward(answers[..., :-4].astype(np.float64))
    found = []
    for sure, boxes in zip(probabilities[..., :-1], answers[..., -4:], strict=True):
        patches, classes = np.nonzero(sure >= least)
        boxes = boxes[patches].astype(np.float64).clip(0, [W, H, W, H])  # (M, 4)
        rows = np.concatenate([classes[:, None], boxes, sure[patches, classes][:, None]], axis=1)
        found.append(surest(rows, least, classes))
    return found


def surest(found: np.ndarray, least: float, groups: np.ndarray) -> np.ndarray:
    """Return those detections, of (M, 6), that no surer one of their group covers; sorted."""
    import cv2  # not needed to train

    boxes, confidence = found[:, 1:5], found[:, 5]
    with_sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(
        with_sizes.tolist(), confidence.tolist(), groups.tolist(), least, SAME
    )
    places = np.array(kept, int).reshape(-1)
    order = places[np.argsort(-confidence[places], kind="stable")][:MOST]
    return found[order]
