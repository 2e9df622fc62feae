"""A folder with a folder for each class, FOLDER/cat/1.jpg: its images, labels and splits."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from .digits import Split
from .framing import MIDDLE, Framing
from .images import load_pixels

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
PARTS = {  # the names of folders that split the images already, in lower case
    "train": ["train", "training"],
    "validation": ["val", "valid", "validation"],
    "test": ["test", "testing"],
}
HELD_OUT = 10  # one image in 10 of each class, for a part without a folder
THREADS = min(8, os.cpu_count() or 1)  # each holds a whole picture: 200 MB for 12 megapixels
CACHE_BYTES = 2**30  # for decoded images
AT_ONCE = 64  # files that wait for a thread, and that Ctrl-C waits for

Files = dict[str, list[str]]  # the paths of each class
Read = Callable[[str], NDArray[np.uint8]]  # path -> image (H, W, C), all of one size


class ImageFiles:
    """Images (n, H, W, C) uint8 that stay in their files and are decoded, by threads, when taken.

        images[3] -> (H, W, C)      images[[5, 2]], images[:2] -> (2, H, W, C)

    So memory holds a batch or two and the cache, {path: image}, however many files there are.
    Errors: OSError if a file can no longer be read.
    """

    def __init__(self, paths: Sequence[str], read: Read, cache: dict[str, NDArray[np.uint8]]):
        self.paths, self.read, self.cache = np.array(paths, object), read, cache
        self.shape, self.ndim = (len(paths), *self[0].shape), 4

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, chosen: Any) -> NDArray[np.uint8]:
        paths = self.paths[chosen]
        if isinstance(paths, str):
            return self._image(paths)
        if all(path in self.cache for path in paths):
            return np.stack([self.cache[path] for path in paths])  # (n, H, W, C)
        with ThreadPoolExecutor(THREADS) as pool:
            return np.stack(list(pool.map(self._image, paths)))  # (n, H, W, C)

    def _image(self, path):
        if path in self.cache:
            return self.cache[path]
        try:
            return self.read(path)
        except (ValueError, OSError) as error:
            raise OSError(f"{error}; it was a good image when all files were checked") from error


class ImageFolder(NamedTuple):
    """Three Splits, whose images are ImageFiles, and the name of each class."""

    train: Split
    validation: Split
    test: Split
    classes: list[str]
    skipped: list[str]  # what is wrong with each file that is not a good image
    sum: str  # `files_sum`


def image_folder(
    folder: str | Path,
    height: int,
    width: int,
    rng: np.random.Generator,
    channels: int = 3,
    framing: Framing = MIDDLE,
) -> ImageFolder:
    """Open a folder of class folders to train on: each image framed, at a size.

    `split_files` splits the folder, and `load_pixels` reads the images. Every file is read once
    now: those that are not good images are left out and listed in `skipped`. Up to 1 GB of decoded
    images stay in memory, and the others are decoded again whenever they are needed.

    Errors: those of `split_files`; ValueError for a class without a good image to train on.
    """
    parts = split_files(folder, rng)
    classes = list(parts["train"])
    cache: dict[str, NDArray[np.uint8]] = {}
    read = partial(load_pixels, height=height, width=width, channels=channels, framing=framing)
    splits, skipped = {}, []
    for part, files in parts.items():
        splits[part], reasons = open_files(files, classes, read, cache)
        skipped += reasons
    counts = np.bincount(splits["train"].labels, minlength=len(classes))
    if not counts.all():
        raise ValueError(
            f"{folder}: no training image of {classes[counts.argmin()]} can be read; replace them "
            "with fresh copies, or remove the class"
        )
    return ImageFolder(**splits, classes=classes, skipped=skipped, sum=files_sum(parts, folder))


def open_files(
    files: Files, classes: list[str], read: Read, cache: dict[str, NDArray[np.uint8]]
) -> tuple[Split, list[str]]:
    """Read every file once; return a Split of the good images, and what is wrong with the others.

    The cache, {path: image}, is filled up to CACHE_BYTES. Labels count the classes.
    Errors: ValueError for a class that is not one of `classes`, or if no file is good.
    """
    if unknown := [name for name in files if name not in classes]:
        raise ValueError(
            f"{files[unknown[0]][0]} is of the class {unknown[0]}; expected one of "
            f"{', '.join(classes)}"
        )
    named = [(path, classes.index(name)) for name, paths in files.items() for path in paths]
    good, labels, skipped = [], [], []

    def outcome(path):
        try:
            return read(path)
        except (ValueError, OSError) as error:
            return error

    with (
        ThreadPoolExecutor(THREADS) as pool,
        tqdm(total=len(named), desc="reading", unit=" files", disable=None) as bar,
    ):
        for start in range(0, len(named), AT_ONCE):
            some = named[start : start + AT_ONCE]
            outcomes = pool.map(outcome, [path for path, _ in some])
            for (path, label), image in zip(some, outcomes, strict=True):
                bar.update()
                if isinstance(image, Exception):
                    skipped.append(str(image))
                    continue
                good.append(path)
                labels.append(label)
                if (len(cache) + 1) * image.nbytes <= CACHE_BYTES:
                    cache[path] = image
    if not good:
        reason = skipped[0] if skipped else "there are none"
        raise ValueError(f"of {len(named)} images none can be read: {reason}")
    return Split(ImageFiles(good, read, cache), np.array(labels, np.int64)), skipped


def split_files(folder: str | Path, rng: np.random.Generator) -> dict[str, Files]:
    """Return the files of the parts "train", "validation" and "test", in this order.

    If FOLDER has a folder `train` with class folders in it, that is the training part, and `val`
    (or `valid`, `validation`) and `test` are the others. A part without a folder is held out of the
    training images: a tenth of each class, at least one image, drawn with `rng`. No file is opened,
    so a damaged one does not change where the others go.

    Errors: those of `class_files`; ValueError for fewer than two classes, a part without classes or
    with two folders, or a class with too few images to hold any out.
    """
    places = parts_in(folder) or {"train": Path(folder)}
    parts = {part: class_files(place) for part, place in places.items()}
    train = places["train"]
    if len(parts["train"]) < 2:
        raise ValueError(
            f"{train} has {len(parts['train'])} class folders with images in them "
            f"({', '.join(ENDINGS)}); expected at least two, such as {train / 'cat'} and "
            f"{train / 'dog'}"
        )
    for part, files in parts.items():
        if not files:
            raise ValueError(
                f"{places[part]} has no class folders with images in them, as {train} has; without "
                f"this folder, images for {part} are held out of the training images"
            )
    missing = [part for part in PARTS if part not in parts]
    parts |= {part: {} for part in missing}
    for name, paths in parts["train"].items():
        count = max(1, len(paths) // HELD_OUT)
        if len(paths) <= count * len(missing):
            raise ValueError(
                f"{train / name} has {len(paths)} images; expected at least {len(missing) + 1}: "
                f"one to train on, and one for each of {' and '.join(missing)}"
            )
        order = [paths[number] for number in rng.permutation(len(paths))]
        for part in missing:
            parts[part][name], order = sorted(order[:count]), order[count:]
        parts["train"][name] = sorted(order)
    return {part: parts[part] for part in PARTS}


def files_sum(parts: dict[str, Files], folder: str | Path) -> str:
    """Return a SHA-256 sum, in hex, of the names in the folder and the sizes of the parts' files.

    It does not change if the folder moves, and does if a file is added, moved or resized.
    """
    lines = [
        f"{part} {os.path.relpath(path, folder)} {os.path.exists(path) and os.path.getsize(path)}"
        for part, files in parts.items()
        for paths in files.values()
        for path in paths
    ]
    return hashlib.sha256(os.fsencode("\n".join(lines))).hexdigest()


def parts_in(folder: str | Path) -> dict[str, Path]:
    """Return {part: folder} if a folder is split already, as `split_files` says, or else {}."""
    places: dict[str, Path] = {}
    for place in _folders_in(folder):
        for part, names in PARTS.items():
            if place.name.lower() not in names:
                continue
            if part in places:
                raise ValueError(f"{places[part]} and {place} are both for {part}; remove one")
            places[part] = place
    return places if "train" in places and class_files(places["train"]) else {}


def class_files(folder: str | Path) -> Files:
    """Return the files of each class of a folder of class folders, sorted by name.

    A class is a folder with images in it, at any depth. An image is a file with one of ENDINGS, in
    lower or upper case. Everything else is passed over: other files, folders without images, hidden
    ones (.DS_Store), and links to folders, except a class folder that is a link to another place.

    Errors: FileNotFoundError if there is no such folder; ValueError for a class name that is not
    printable.
    """
    classes = {}
    for place in _folders_in(folder):
        paths: list[str] = []
        for inside, folders, names in os.walk(place, onerror=_raise):
            folders[:] = (name for name in folders if not name.startswith("."))
            images = (name for name in names if name.lower().endswith(ENDINGS))
            paths += (os.path.join(inside, name) for name in images if not name.startswith("."))
        if paths and not place.name.isprintable():
            raise ValueError(f"the class folder {str(place)!r} has a name that is not printable")
        if paths:
            classes[place.name] = sorted(paths)
    return classes


def _folders_in(folder):
    """The folders in a folder, sorted, without hidden ones and links that lead back to it."""
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; expected one with class folders")
    here = Path(folder).resolve()
    return [
        place
        for place in sorted(Path(folder).iterdir())
        if place.is_dir() and not place.name.startswith(".")
        if not here.is_relative_to(place.resolve())
    ]


def _raise(error):
    raise error
