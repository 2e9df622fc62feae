import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minivit.data import folders as module
from minivit.data.decode import FORMATS
from minivit.data.folders import (
    ImageFiles,
    class_files,
    files_sum,
    image_folder,
    open_files,
    parts_in,
    split_files,
)
from minivit.data.framing import Framing
from minivit.data.images import load_pixels


def seeded(seed=0):
    return np.random.default_rng(seed)


def touch(path):
    """A file that only looks like an image: enough for code that opens none."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(b"")
    return str(path)


def many(place, **counts):
    for name, count in counts.items():
        for number in range(count):
            touch(place / name / f"{number:03}.png")
    return place


def sizes(parts):
    return {part: {name: len(paths) for name, paths in parts[part].items()} for part in parts}


@pytest.fixture
def place(tmp_path):
    return tmp_path / "pets"


def test_what_is_an_image_and_what_is_passed_over(place):
    cats = [touch(place / "cat" / name) for name in ("1.JPG", "2.tiff", "deep/er/3.webp")]
    dogs = [touch(place / "a dog" / "1.jpeg")]
    for other in ("cat/Thumbs.db", "cat/notes.txt", "cat/.4.png", "cat/.deep/5.png", "6.png"):
        touch(place / other)
    for other in (".git/7.png", "__MACOSX/._8.png", "notes/read.me"):
        touch(place / other)
    (place / "empty").mkdir()
    assert class_files(place) == {"a dog": dogs, "cat": cats}
    kinds = {ending[1:].upper() for ending in module.ENDINGS}
    assert kinds - {"JPG", "TIF"} == set(FORMATS)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links(place, tmp_path):
    cats, dog = [touch(place / "cat" / "1.png")], touch(tmp_path / "elsewhere" / "2.png")
    os.symlink(dog, place / "cat" / "linked.png")
    os.symlink(place, place / "cat" / "round")  # a loop
    os.symlink(place, place / "all")
    os.symlink(tmp_path, place / "above")
    os.symlink("itself", place / "itself")
    os.symlink(tmp_path / "elsewhere", place / "dog")
    assert class_files(place) == {
        "cat": [*cats, str(place / "cat" / "linked.png")],
        "dog": [str(place / "dog" / "2.png")],
    }


def test_a_tenth_of_each_class_is_held_out_for_each_part(place):
    parts = split_files(many(place, cat=40, dog=3, cow=19), seeded())
    assert sizes(parts) == {
        "train": {"cat": 32, "cow": 17, "dog": 1},
        "validation": {"cat": 4, "cow": 1, "dog": 1},
        "test": {"cat": 4, "cow": 1, "dog": 1},
    }
    for name, paths in class_files(place).items():
        assert sorted(path for files in parts.values() for path in files[name]) == paths
    assert parts == split_files(place, seeded())
    assert parts["test"] != split_files(place, seeded(1))["test"]


def test_parts_with_a_folder_stay_as_they_are(place):
    for part, count in {"train": 4, "VAL": 2, "testing": 3, "other": 9}.items():
        many(place / part, cat=count, dog=1)
    assert list(parts_in(place)) == ["validation", "test", "train"]
    parts = split_files(place, seeded())
    assert {part: len(files["cat"]) for part, files in parts.items()} == {
        "train": 4, "validation": 2, "test": 3,
    }  # fmt: skip
    assert parts["test"] == class_files(place / "testing")


def test_a_missing_part_is_held_out_of_the_training_images(place):
    many(place / "train", cat=20, dog=2)
    many(place / "test", cat=5)
    parts = split_files(place, seeded())
    assert sizes(parts)["validation"] == {"cat": 2, "dog": 1}
    assert sizes(parts)["train"] == {"cat": 18, "dog": 1}
    assert parts["test"] == class_files(place / "test")


def test_a_class_of_trains(place):
    many(place, train=3, plane=3)
    assert not parts_in(place)
    assert list(split_files(place, seeded())["train"]) == ["plane", "train"]


def test_the_sum_of_files_knows_the_parts_and_the_sizes(place):
    parts = split_files(many(place, cat=20, dog=20), seeded())
    sums = [files_sum(parts, place), files_sum(split_files(place, seeded(1)), place)]
    moved = place.rename(place.parent / "animals")
    assert files_sum(split_files(moved, seeded()), moved) == sums[0]
    new = Path(touch(moved / "cat" / "new.png"))
    sums.append(files_sum(split_files(moved, seeded()), moved))
    new.write_bytes(b"of another size")
    sums.append(files_sum(split_files(moved, seeded()), moved))
    assert len(set(sums)) == 4
    one = {"train": {"a": ["1", "2"]}, "test": {"a": ["3"]}}
    other = {"train": {"a": ["1"]}, "test": {"a": ["2", "3"]}}
    assert files_sum(one, ".") != files_sum(other, ".")


@pytest.mark.parametrize(
    "counts, error, message",
    [
        ({}, FileNotFoundError, "there is no folder .*pets; expected one with"),
        ({"cat": 9}, ValueError, "has 1 class folders .* at least two, such"),
        (
            {"cat": 5, "dog": 2},
            ValueError,
            "dog has 2 images; expected at least 3: .* for each of validation and test",
        ),
        ({"d\nog": 5}, ValueError, r"the class folder '.*d\\nog' has a name that is not printable"),
        (
            {"train/cat": 5, "train/dog": 5, "test": 1},
            ValueError,
            "test has no class folders with images .* without this folder, images",
        ),
        (
            {"train/cat": 5, "val/cat": 5, "valid/cat": 5},
            ValueError,
            "val and .*valid are both for validation; remove one",
        ),
    ],
)
def test_refuses_what_cannot_be_trained_on(place, counts, error, message):
    many(place, **counts)
    with pytest.raises(error, match=message):
        split_files(place, seeded())


def test_a_class_folder_without_permission(place, monkeypatch):
    def scandir(path):
        if Path(path).name == "dog":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    real = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PermissionError, match="dog"):
        split_files(many(place, cat=3, dog=3), seeded())


def write(path, color=(10, 20, 30), height=6):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, height), color).save(path)


def test_images_labels_and_files_that_are_no_images(place):
    for number in range(10):
        write(place / "blue" / f"{number}.png", (0, 0, 200))
        write(place / "red" / f"{number}.bmp", (200, 0, 0), height=20)
    before = split_files(place, seeded())
    bad = [before["train"]["red"][0], before["test"]["blue"][0]]
    for path in bad:
        os.truncate(path, os.path.getsize(path) // 2)
    data = image_folder(place, 4, 6, seeded())
    assert data.classes == ["blue", "red"]
    assert [len(split.labels) for split in (data.train, data.validation, data.test)] == [15, 2, 1]
    assert len(data.skipped) == 2
    for path, reason in zip(bad, data.skipped, strict=True):
        assert reason.startswith(f"{path} is ")
    assert data.sum == files_sum(before, place)
    for split, files in zip(data[:3], before.values(), strict=True):
        assert split.images.shape == (len(split.labels), 4, 6, 3)
        good = [path for paths in files.values() for path in paths if path not in bad]
        assert split.images.paths.tolist() == good
        for image, label, path in zip(split.images[:], split.labels, good, strict=True):
            np.testing.assert_array_equal(image, load_pixels(path, 4, 6))
            assert image[0, 0].tolist() == [[0, 0, 200], [200, 0, 0]][label]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_framed_as_asked(place, channels):
    for number in range(6):
        noise = seeded(number).integers(0, 256, (19, 29, 3), np.uint8)
        path = Path(touch(place / "ab"[number % 2] / f"{number}.png"))
        Image.fromarray(noise).save(path)
    framing = Framing(0.7, True, "bicubic")
    data = image_folder(place, 7, 5, seeded(), channels, framing)
    for split in data[:3]:
        for image, path in zip(split.images, split.images.paths, strict=True):
            np.testing.assert_array_equal(image, load_pixels(path, 7, 5, channels, framing))


def test_a_class_without_a_good_training_image(place):
    for number in range(3):
        write(place / "cat" / f"{number}.png")
        write(place / "dog" / f"{number}.png")
    Path(split_files(place, seeded())["train"]["dog"][0]).write_bytes(b"")
    with pytest.raises(ValueError, match="no training image of dog can be read"):
        image_folder(place, 4, 4, seeded())


PATHS = [f"{number}.png" for number in range(9)]


def picture(path):
    """Stands for reading a file: an image (2, 3, 3) of the number in its name."""
    return np.full((2, 3, 3), int(path.partition(".")[0]), np.uint8)


def numbers(images):
    return images[..., 0, 0, 0].tolist()


@pytest.mark.parametrize("cache", [{}, {path: picture(path) for path in PATHS}])
def test_images_are_taken_as_from_an_array(cache):
    images, array = ImageFiles(PATHS, picture, cache), np.stack([picture(path) for path in PATHS])
    assert (len(images), images.shape, images.ndim) == (9, array.shape, 4)
    for chosen in (np.array([4, 0, 4]), [8], slice(2, 9, 3), slice(6, 20), -1, np.int64(3)):
        np.testing.assert_array_equal(images[chosen], array[chosen])
        assert images[chosen].dtype == np.uint8
    np.testing.assert_array_equal(list(images), array)


def test_several_are_read_side_by_side(monkeypatch):
    monkeypatch.setattr(module, "THREADS", 2)
    together = threading.Barrier(2, timeout=10)  # passed only if two threads are in it

    def read(path):
        if path != "0.png":  # which tells the size
            together.wait()
        return picture(path)

    assert numbers(ImageFiles(PATHS, read, {})[1:3]) == [1, 2]


def test_every_file_is_read_once_and_the_cache_is_filled_up_to_its_limit(monkeypatch):
    monkeypatch.setattr(module, "CACHE_BYTES", 5 * 18 + 17)  # an image has 18 bytes
    monkeypatch.setattr(module, "AT_ONCE", 4)
    read, cache = [], {}

    def reading(path):
        read.append(path)
        return picture(path)

    split, skipped = open_files({"b": PATHS[:4], "a": PATHS[4:]}, ["a", "b"], reading, cache)
    assert (sorted(read), skipped) == (PATHS, [])
    assert split.labels.tolist() == [1] * 4 + [0] * 5
    assert numbers(split.images[:]) == list(range(9))
    assert sorted(read[9:]) == PATHS[5:]  # those that are not in the cache
    assert sorted(cache) == PATHS[:5]


def test_a_file_lost_later_is_an_error_that_names_it():
    def read(path):
        if path in gone:
            raise ValueError(f"{path} is cut off")
        return picture(path)

    gone = set()
    images = ImageFiles(PATHS, read, {})
    gone.add("3.png")
    with pytest.raises(OSError, match=r"3.png is cut off; it was a good image when all files were"):
        images[2:5]


@pytest.mark.parametrize(
    "files, message",
    [
        ({"a": PATHS, "c": ["x.png"]}, "x.png is of the class c; expected one of a, b"),
        ({"a": ["x.png", "y.png"]}, "of 2 images none can be read: x.png is damaged"),
        ({}, "of 0 images none can be read: there are none"),
    ],
)
def test_refuses_unknown_classes_and_folders_without_good_images(files, message):
    def read(path):
        raise ValueError(f"{path} is damaged")

    with pytest.raises(ValueError, match=message):
        open_files(files, ["a", "b"], read, {})
