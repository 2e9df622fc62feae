"""Mean average precision by COCO's rules, with COCO's own program (pycocotools)."""

import contextlib
import io
from collections.abc import Sequence

import numpy as np

NAMES = ("map", "map50", "map75", "map_small", "map_medium", "map_large")  # COCO's first figures
INSTALL = "pip install 'minivit[detect]', or pip install pycocotools"


def average_precision(
    objects: Sequence[np.ndarray], detections: Sequence[np.ndarray], classes: int
) -> dict[str, float | None]:
    """Return the shares from 0 to 1 in NAMES; None where there is no object of that size.

    objects:    for each image (M, 5): class, left, top, right, bottom
    detections: for each image (M, 6): likewise, and the confidence
    `map` is the mean over IoU from 0.5 to 0.95 in steps of 0.05, map50 and map75 are those at 0.5
    and 0.75; small objects have less than 32² pixels, large ones more than 96².
    Errors: ImportError if pycocotools is not installed; ValueError if there is no object at all.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise ImportError(f"mAP needs pycocotools, which cannot be imported: {INSTALL}") from error
    true = [(image, *row) for image, rows in enumerate(objects) for row in rows]
    if not true:
        raise ValueError("average_precision: there is no object in any image")
    found = [
        (image, left, top, right - left, bottom - top, confidence, number)
        for image, rows in enumerate(detections)
        for number, left, top, right, bottom, confidence in rows
    ]
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": image} for image in range(len(objects))],
        "categories": [{"id": number} for number in range(classes)],
        "annotations": [
            {
                "id": 1 + place, "image_id": image, "category_id": int(number), "iscrowd": 0,
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
            }
            for place, (image, number, left, top, right, bottom) in enumerate(true)
        ],
    }  # fmt: skip
    if not found:
        return dict.fromkeys(NAMES, 0.0)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints all it does
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(np.array(found)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    figures = map(float, evaluation.stats[: len(NAMES)])
    return dict(zip(NAMES, (None if share < 0 else share for share in figures), strict=True))
