import threading

import numpy as np
import pytest

from minivit.data import image_files
from minivit.data.image_files import ImageFiles, open_files

PATHS = [f"{number}.png" for number in range(9)]


def picture(path):
    """What stands for reading a file: an image (2, 3, 3) of the number in its name."""
    return np.full((2, 3, 3), int(path.partition(".")[0]), np.uint8)


def numbers(images):
    return images[..., 0, 0, 0].tolist()


@pytest.mark.parametrize("kept", [{}, {path: picture(path) for path in PATHS}])
def test_images_are_taken_as_from_an_array(kept):
    images, array = ImageFiles(PATHS, picture, kept), np.stack([picture(path) for path in PATHS])
    assert (len(images), images.shape, images.ndim) == (9, array.shape, 4)
    for chosen in (np.array([4, 0, 4]), [8], slice(2, 9, 3), slice(6, 20), -1, np.int64(3)):
        np.testing.assert_array_equal(images[chosen], array[chosen])
        assert images[chosen].dtype == np.uint8


def test_several_are_read_side_by_side(monkeypatch):
    monkeypatch.setattr(image_files, "THREADS", 2)
    together = threading.Barrier(2, timeout=10)  # passed only if two threads are in it

    def read(path):
        if path != "0.png":  # which tells the size
            together.wait()
        return picture(path)

    assert numbers(ImageFiles(PATHS, read, {})[1:3]) == [1, 2]


def test_every_file_is_read_once_and_no_more_is_kept_than_was_allowed(monkeypatch):
    monkeypatch.setattr(image_files, "KEPT", 5 * 18 + 17)  # an image has 18 bytes
    monkeypatch.setattr(image_files, "THREADS", 2)
    monkeypatch.setattr(image_files, "AT_ONCE", 4)
    read, kept = [], {}

    def reading(path):
        read.append(path)
        return picture(path)

    split, skipped = open_files({"b": PATHS[:4], "a": PATHS[4:]}, ["a", "b"], reading, kept)
    assert sorted(read) == PATHS
    assert sorted(kept) == PATHS[:5]
    assert skipped == []
    assert split.labels.tolist() == [1] * 4 + [0] * 5
    assert numbers(split.images[:]) == list(range(9))
    assert sorted(read[9:]) == PATHS[5:]  # those that were not kept
    assert sorted(kept) == PATHS[:5]


def test_what_cannot_be_read_is_left_out_and_told_once():
    def read(path):
        if path in ("2.png", "5.png"):
            raise ValueError(f"{path} is damaged")
        if path == "7.png":
            raise OSError(f"{path} is gone")
        return picture(path)

    split, skipped = open_files({"a": PATHS[:5], "b": PATHS[5:]}, ["a", "b"], read, {})
    assert skipped == ["2.png is damaged", "5.png is damaged", "7.png is gone"]
    assert numbers(split.images[:]) == [0, 1, 3, 4, 6, 8]
    assert split.labels.tolist() == [0, 0, 0, 0, 1, 1]


def test_a_file_that_is_lost_later_is_an_error_that_a_run_can_go_on_after():
    gone = set()

    def read(path):
        if path in gone:
            raise ValueError(f"{path} is cut off")
        return picture(path)

    images = ImageFiles(PATHS, read, {})
    gone.add("3.png")
    with pytest.raises(OSError, match=r"3.png is cut off; it was a good image when all were read"):
        images[2:5]


@pytest.mark.parametrize(
    "files, message",
    [
        ({"a": PATHS, "c": ["x.png"]}, "x.png is of the class c; expected one of .*: a, b"),
        ({"a": ["x.png", "y.png"]}, "of 2 images none can be read: x.png is damaged"),
        ({}, "of 0 images none can be read: there are none"),
    ],
)
def test_refuses_classes_that_are_not_known_and_to_go_on_without_images(files, message):
    def read(path):
        raise ValueError(f"{path} is damaged")

    with pytest.raises(ValueError, match=message):
        open_files(files, ["a", "b"], read, {})
