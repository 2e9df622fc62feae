"""A folder of class folders, FOLDER/cat/1.jpg: which images there are, and what each is for."""

import hashlib
import os
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .digits import Split
from .image_files import open_files
from .images import load_pixels
from .resize import expect_size

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
PARTS = {  # what the folders are called that part the images already, in small letters
    "train": ["train", "training"],
    "validation": ["val", "valid", "validation"],
    "test": ["test", "testing"],
}
HELD_OUT = 10  # one image of so many, of each class, for a part that has no folder


class ImageFolder(NamedTuple):
    """Three Splits, whose images are ImageFiles, and the name of each class."""

    train: Split
    validation: Split
    test: Split
    classes: list[str]
    skipped: list[str]  # what is wrong with each file that is no good image
    sum: str  # `files_sum`


def image_folder(folder, height, width, rng):
    """Open a folder of class folders to train on; return an ImageFolder.

    folder, rng:   see `split_files`
    height, width: of the images that `load_pixels` makes of all files: their middle, not stretched

    Every file is read once, here, to find those that are no good images: they are left out and
    told in `skipped`. What was decoded is kept up to 1 GB. A larger folder takes no more memory:
    its other images are decoded again whenever they are needed.

    Errors: those of `expect_size` and `split_files`; ValueError for a class without a good image
    to train on.
    """
    expect_size(height, width)
    parts = split_files(folder, rng)
    classes, kept = list(parts["train"]), {}
    read = partial(load_pixels, height=height, width=width)
    splits, skipped = [], []
    for files in parts.values():
        split, reasons = open_files(files, classes, read, kept)
        splits.append(split)
        skipped += reasons
    counts = np.bincount(splits[0].labels, minlength=len(classes))
    if not counts.all():
        raise ValueError(
            f"{folder}: no image of {classes[counts.argmin()]} that was to be trained on can be "
            "read; replace them by fresh copies, or remove the class"
        )
    return ImageFolder(*splits, classes, skipped, files_sum(parts, folder))


def split_files(folder, rng):
    """Return {part: {class: paths}} of the parts "train", "validation" and "test".

    Where FOLDER has a folder `train` with class folders in it, that is the part to train on, and
    `val` (or `valid`, `validation`) and `test` are the others. What is missing of these two is held
    out of the images to train on: a tenth of each class, but at least one image, drawn with `rng`.
    No file is opened, so a damaged one changes nothing for the others.

    Errors: those of `class_files`; ValueError for fewer than two classes, a part without classes or
    with two folders, or a class with too few images to hold any out.
    """
    places = _parts_in(folder) or {"train": Path(folder)}
    parts = {part: class_files(place) for part, place in places.items()}
    if len(parts["train"]) < 2:
        raise ValueError(
            f"{places['train']} has {len(parts['train'])} class folders with images in them "
            f"({', '.join(ENDINGS)}); expected at least two, such as {places['train'] / 'cat'} and "
            f"{places['train'] / 'dog'}"
        )
    for part, files in parts.items():
        if not files:
            raise ValueError(
                f"{places[part]} has no class folders with images in them, as {places['train']} "
                f"has; without such a folder, images for {part} are held out of those to train on"
            )
    missing = [part for part in PARTS if part not in parts]
    parts |= {part: {} for part in missing}
    for name, paths in parts["train"].items():
        count = max(1, len(paths) // HELD_OUT)
        if len(paths) <= count * len(missing):
            raise ValueError(
                f"{places['train'] / name} has {len(paths)} images; expected at least "
                f"{len(missing) + 1}: one to train on, and one for each of {' and '.join(missing)}"
            )
        order = [paths[number] for number in rng.permutation(len(paths))]
        for part in missing:
            parts[part][name], order = sorted(order[:count]), order[count:]
        parts["train"][name] = sorted(order)
    return {part: parts[part] for part in PARTS}


def files_sum(parts, folder):
    """A SHA-256 sum, in hex, of the parts' files, by their names in the folder and their sizes.

    It stays when the folder moves, and is another if a file is added, moved or of another size.
    """
    lines = [
        f"{part} {os.path.relpath(path, folder)} {os.path.exists(path) and os.path.getsize(path)}"
        for part, files in parts.items()
        for paths in files.values()
        for path in paths
    ]
    return hashlib.sha256(os.fsencode("\n".join(lines))).hexdigest()


def has_parts(folder):
    """Whether a folder of images is parted already, as `split_files` says."""
    return bool(_parts_in(folder))


def class_files(folder):
    """Return {class: paths} of a folder of class folders, in the order of their names.

    A class is a folder with images in it, at any depth. An image is a file with one of ENDINGS, in
    small or capital letters. All else is passed over: files of other kinds, folders without images,
    what is hidden (.DS_Store), and links to folders, but for class folders that are links
    themselves and lead to another place than the folder they are in.

    Errors: FileNotFoundError if there is no such folder; ValueError for a class name that cannot be
    printed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; expected one with class folders")
    found = {}
    for place in _folders_in(folder):
        paths = []
        for inside, folders, names in os.walk(place, onerror=_raise):
            folders[:] = (name for name in folders if not name.startswith("."))
            images = (name for name in names if name.lower().endswith(ENDINGS))
            paths += (os.path.join(inside, name) for name in images if not name.startswith("."))
        if paths and not place.name.isprintable():
            raise ValueError(f"the name of the class folder {str(place)!r} cannot be printed")
        if paths:
            found[place.name] = sorted(paths)
    return found


def _parts_in(folder):
    """{part: folder} if there are class folders in a folder for the training part, else {}."""
    places = {}
    for place in _folders_in(folder) if Path(folder).is_dir() else []:
        for part, names in PARTS.items():
            if place.name.lower() in names and part in places:
                raise ValueError(f"{places[part]} and {place} are both for {part}; remove one")
            if place.name.lower() in names:
                places[part] = place
    return places if "train" in places and class_files(places["train"]) else {}


def _folders_in(folder):
    """The folders right in a folder, sorted; neither hidden ones nor links that lead back to it."""
    here = Path(folder).resolve()
    places = (place for place in sorted(Path(folder).iterdir()) if place.is_dir())
    return [
        place
        for place in places
        if not place.name.startswith(".") and not here.is_relative_to(place.resolve())
    ]


def _raise(error):
    raise error
