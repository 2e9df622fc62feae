"""Images that stay in their files until they are needed, so that memory holds a few of them."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from .digits import Split

THREADS = min(8, os.cpu_count() or 1)  # each holds one picture whole: of 12 megapixels, 200 MB
KEPT = 2**30  # bytes of decoded images that stay in memory
AT_ONCE = 64  # files that wait for a thread, and that Ctrl-C waits for


class ImageFiles:
    """Images (n, H, W, C) uint8 that stay in their files, and are read by some threads when taken.

        images[3] -> (H, W, C)      images[[5, 2]], images[:2] -> (2, H, W, C)

    So memory holds the images of a batch or two, however many files there are, and those of `kept`.

    paths: n names of files
    read:  path -> image (H, W, C) uint8, all of one size
    kept:  {path: image}, those that are not read again
    Errors: OSError if a file can no longer be read.
    """

    def __init__(self, paths, read, kept):
        self.paths, self.read, self.kept = np.array(paths, object), read, kept
        self.shape, self.ndim = (len(paths), *self[0].shape), 4

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, chosen):
        paths = self.paths[chosen]
        if isinstance(paths, str):
            return self._image(paths)
        if all(path in self.kept for path in paths):
            return np.stack([self.kept[path] for path in paths])  # (n, H, W, C)
        with ThreadPoolExecutor(THREADS) as pool:
            return np.stack(list(pool.map(self._image, paths)))  # (n, H, W, C)

    def _image(self, path):
        if path in self.kept:
            return self.kept[path]
        try:
            return self.read(path)
        except (ValueError, OSError) as error:
            raise OSError(f"{error}; it was a good image when all were read first") from error


def open_files(files, classes, read, kept):
    """Read every file of {class: paths} once; return a Split of the good ones, and what is wrong.

    classes: the names that labels count
    read:    path -> image (H, W, C) uint8, all of one size
    kept:    a dict {path: image}, which is filled up to KEPT bytes
    Errors: ValueError for a class that is not one of `classes`, or if no file is good.
    """
    unknown = [name for name in files if name not in classes]
    if unknown:
        raise ValueError(
            f"{files[unknown[0]][0]} is of the class {unknown[0]}; expected one of those that are "
            f"known: {', '.join(classes)}"
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
                if (len(kept) + 1) * image.nbytes <= KEPT:
                    kept[path] = image
    if not good:
        reason = skipped[0] if skipped else "there are none"
        raise ValueError(f"of {len(named)} images none can be read: {reason}")
    return Split(ImageFiles(good, read, kept), np.array(labels, np.int64)), skipped
