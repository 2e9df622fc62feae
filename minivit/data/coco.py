"""Pictures with boxes, in COCO's JSON layout (Lin et al. 2014, arXiv:1405.0312).

FOLDER/annotations/instances_train.json     FOLDER/train/        a year may follow: train2017
FOLDER/annotations/instances_val.json       FOLDER/val/
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..files import read_json

OUTSIDE = 1.0  # pixels by which a box may stick out of its picture, by rounding


class Annotated(NamedTuple):
    """The pictures of one JSON file: their paths, the objects of each, and the class names.

    An object is its class and its box, as in a Scene, in pixels of the picture.
    """

    paths: list[str]
    objects: list[NDArray[np.float64]]
    classes: list[str]


def coco_parts(folder: str | Path) -> dict[str, tuple[Path, Path]]:
    """Return {"train" and "val": (the JSON file, the folder of its pictures)} of a folder.

    Errors: FileNotFoundError if one of these is missing; ValueError if there are several.
    """
    parts = {}
    for part in ("train", "val"):
        found = sorted(Path(folder).glob(f"annotations/instances_{part}*.json"))
        if not found:
            raise FileNotFoundError(
                f"{folder} has no annotations/instances_{part}.json; expected COCO's layout, "
                f"with the pictures in {Path(folder) / part}"
            )
        if len(found) > 1:
            raise ValueError(f"{found[0]} and {found[1]} are both for {part}; remove one")
        pictures = Path(folder) / found[0].stem.removeprefix("instances_")
        if not pictures.is_dir():
            raise FileNotFoundError(f"there is no folder {pictures}, of the pictures in {found[0]}")
        parts[part] = found[0], pictures
    return parts


def read_coco(path: str | Path, folder: str | Path) -> Annotated:
    """Read a JSON file of COCO's layout, of pictures in a folder.

    Pictures without objects are kept. Regions that are marked as crowds (`iscrowd`) are left out.
    Errors, each naming the file and what is wrong in it: OSError if it cannot be read, or a picture
    is missing; ValueError if it is no such JSON, without pictures, categories or objects, names
    something twice, or an object has an unknown picture or category, or a box that is not four
    finite numbers, has no area, or lies outside of its picture.
    """
    try:
        return _read(read_json(path), Path(folder))
    except FileNotFoundError:
        raise
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        reason = reason.removeprefix(f"{path} ")
        raise ValueError(f"{path}: {reason}") from error


def _read(content, folder):
    pictures, named, annotations = (
        _list(content, name) for name in ("images", "categories", "annotations")
    )
    names = _by_id(named, "category")
    classes = [names[number]["name"] for number in sorted(names)]
    if not all(isinstance(name, str) for name in classes) or len(set(classes)) < len(classes):
        raise ValueError(f"expected different names of categories, got {str(classes)[:80]}")
    numbers = {number: place for place, number in enumerate(sorted(names))}
    images = _by_id(pictures, "image")
    objects: dict[int, list[list[float]]] = {number: [] for number in images}
    for place, annotation in enumerate(annotations):
        if annotation.get("iscrowd"):
            continue
        where = f"annotation {annotation.get('id', place)}"
        if annotation["image_id"] not in images:
            raise ValueError(
                f"{where} is of the image {annotation['image_id']}, which is not there"
            )
        if annotation["category_id"] not in numbers:
            raise ValueError(
                f"{where} is of the category {annotation['category_id']}, which is not there"
            )
        image = images[annotation["image_id"]]
        box = _box(where, annotation["bbox"], image)
        objects[annotation["image_id"]].append([numbers[annotation["category_id"]], *box])
    if not any(objects.values()):
        raise ValueError("it has no objects, so there is nothing to learn")
    paths = []
    for image in images.values():
        path = folder / image["file_name"]
        if not path.is_file():
            raise FileNotFoundError(f"there is no picture {path}, of image {image['id']}")
        paths.append(str(path))
    arrays = [np.array(found, np.float64).reshape(-1, 5) for found in objects.values()]
    return Annotated(paths, arrays, classes)


def _list(content, name):
    """The list of that name, of dicts."""
    found = content[name]
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise ValueError(f"expected a list of objects as {name!r}, got {str(found)[:40]}")
    if not found:
        raise ValueError(f"the list {name!r} is empty")
    return found


def _by_id(entries, kind):
    """{id: entry}; ValueError for an id that is there twice."""
    found: dict[Any, Any] = {}
    for entry in entries:
        if entry["id"] in found:
            raise ValueError(f"two entries have the {kind} id {entry['id']}")
        found[entry["id"]] = entry
    return found


def _box(where, bbox, image):
    """Left, top, right and bottom of COCO's left, top, width and height."""
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_finite, bbox)):
        raise ValueError(f"{where} has the bbox {str(bbox)[:60]}; expected 4 finite numbers")
    left, top, width, height = map(float, bbox)
    if width <= 0 or height <= 0:
        raise ValueError(f"{where} has a box of {width:g} x {height:g}; expected an area")
    right, bottom = left + width, top + height
    W, H = image["width"], image["height"]
    beyond = max(-left, -top, right - W, bottom - H)
    if not beyond <= OUTSIDE:
        raise ValueError(
            f"{where} has a box from ({left:g}, {top:g}) to ({right:g}, {bottom:g}), outside of "
            f"its image of {W} x {H} pixels"
        )
    return max(0.0, left), max(0.0, top), min(float(W), right), min(float(H), bottom)


def _is_finite(number):
    is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
    return is_number and math.isfinite(number)
