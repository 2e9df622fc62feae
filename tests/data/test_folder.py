import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from minivit.data import folder as folder_module
from minivit.data.folder import class_files, files_sum, has_parts, image_folder, split_files
from minivit.data.images import load_pixels


def seeded(seed=0):
    return np.random.default_rng(seed)


def write(path, color=(10, 20, 30), height=6, width=9):
    """A picture of one colour, RGB."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width, 3), color[::-1], np.uint8))
    return str(path)


def touch(path):
    """A file that only looks like an image: enough for what opens none."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(b"")
    return str(path)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "pets"


def many(place, **counts):
    for name, count in counts.items():
        for number in range(count):
            touch(place / name / f"{number:03}.png")
    return place


def test_what_is_an_image_and_what_is_passed_over(place):
    cats = [touch(place / "cat" / name) for name in ("1.JPG", "2.tiff", "deep/er/3.webp")]
    dogs = [touch(place / "a dog" / "1.jpeg")]
    for other in ("cat/Thumbs.db", "cat/notes.txt", "cat/.4.png", "cat/.deep/5.png", "6.png"):
        touch(place / other)
    for other in (".git/7.png", "__MACOSX/._8.png", "notes/read.me"):
        touch(place / other)
    (place / "empty").mkdir()
    assert class_files(place) == {"a dog": dogs, "cat": cats}


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
    many(place, cat=40, dog=3, cow=19)
    parts = split_files(place, seeded())
    sizes = {
        part: {name: len(paths) for name, paths in files.items()} for part, files in parts.items()
    }
    assert sizes == {
        "train": {"cat": 32, "cow": 17, "dog": 1},
        "validation": {"cat": 4, "cow": 1, "dog": 1},
        "test": {"cat": 4, "cow": 1, "dog": 1},
    }
    for name, paths in class_files(place).items():
        assert sorted(path for files in parts.values() for path in files[name]) == paths
    assert parts == split_files(place, seeded())
    assert parts["test"] != split_files(place, seeded(1))["test"]


def test_parts_that_there_are_stay_as_they_are(place):
    for part, count in {"train": 4, "VAL": 2, "testing": 3, "other": 9}.items():
        many(place / part, cat=count, dog=1)
    assert has_parts(place)
    parts = split_files(place, seeded())
    assert {part: len(files["cat"]) for part, files in parts.items()} == {
        "train": 4,
        "validation": 2,
        "test": 3,
    }
    assert parts["test"] == class_files(place / "testing")


def test_a_part_that_is_missing_is_held_out_of_the_training_images(place):
    many(place / "train", cat=20, dog=2)
    many(place / "test", cat=5)
    parts = split_files(place, seeded())
    assert {name: len(paths) for name, paths in parts["validation"].items()} == {"cat": 2, "dog": 1}
    assert {name: len(paths) for name, paths in parts["train"].items()} == {"cat": 18, "dog": 1}
    assert parts["test"] == class_files(place / "test")


def test_a_class_of_trains(place):
    many(place, train=3, plane=3)
    assert not has_parts(place)
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


def test_images_labels_and_files_that_are_no_images(place):
    for number in range(10):
        write(place / "blue" / f"{number}.png", (0, 0, 200))
        write(place / "red" / f"{number}.bmp", (200, 0, 0), height=20)
    before = split_files(place, seeded())
    bad = [before["train"]["red"][0], before["test"]["blue"][0]]
    for path in bad:
        Path(path).write_bytes(Path(path).read_bytes()[:40])
    data = image_folder(place, 4, 6, seeded())
    assert data.classes == ["blue", "red"]
    assert [len(split.labels) for split in (data.train, data.validation, data.test)] == [15, 2, 1]
    assert len(data.skipped) == 2
    for path, reason in zip(bad, data.skipped, strict=True):
        assert reason.startswith(f"{path} is a damaged ")
    assert data.sum == files_sum(before, place)
    for split, files in zip(data[:3], before.values(), strict=True):
        assert split.images.shape == (len(split.labels), 4, 6, 3)
        good = [path for paths in files.values() for path in paths if path not in bad]
        assert split.images.paths.tolist() == good
        for image, label, path in zip(split.images[:], split.labels, good, strict=True):
            np.testing.assert_array_equal(image, load_pixels(path, 4, 6))
            assert image[0, 0].tolist() == [[0, 0, 200], [200, 0, 0]][label]


def test_a_class_without_a_good_image_to_train_on(place):
    for number in range(3):
        write(place / "cat" / f"{number}.png")
        write(place / "dog" / f"{number}.png")
    Path(split_files(place, seeded())["train"]["dog"][0]).write_bytes(b"")
    with pytest.raises(ValueError, match="no image of dog that was to be trained on can be read"):
        image_folder(place, 4, 4, seeded())


def test_a_size_beyond_the_limit_is_refused_before_any_image_is_read(place):
    many(place, cat=3, dog=3)
    with pytest.raises(ValueError, match="^resize: expected at most 33,554,432 pixels, got 100000"):
        image_folder(place, 100_000, 100_000, seeded())


def two(place):
    many(place, cat=5, dog=2)


def unprintable(place):
    many(place, cat=5, **{"d\nog": 5})


def double(place):
    many(place / "train", cat=5, dog=5)
    many(place / "val", cat=5)
    many(place / "valid", cat=5)


def flat(place):
    many(place / "train", cat=5, dog=5)
    touch(place / "test" / "1.png")


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda place: None, FileNotFoundError, "there is no folder .*pets; expected one with"),
        (lambda place: place.mkdir(), ValueError, "pets has 0 class folders with images in them"),
        (lambda place: many(place, cat=9), ValueError, "has 1 class folders .* at least two, such"),
        (two, ValueError, "dog has 2 images; expected at least 3: .* for each of validation and t"),
        (unprintable, ValueError, r"class folder '.*d\\nog' cannot be printed"),
        (
            flat,
            ValueError,
            "test has no class folders with images .* without such a folder, images",
        ),
        (double, ValueError, "val and .*valid are both for validation; remove one"),
    ],
)
def test_refuses_what_cannot_be_trained_on(place, make, error, message):
    make(place)
    with pytest.raises(error, match=message):
        split_files(place, seeded())


def test_a_class_folder_that_may_not_be_read(place, monkeypatch):
    def scandir(path):
        if Path(path).name == "dog":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    real = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PermissionError, match="dog"):
        split_files(many(place, cat=3, dog=3), seeded())


def test_the_endings_are_those_of_the_formats_that_are_read():
    from minivit.data.images import SIGNATURES

    kinds = {ending[1:].upper() for ending in folder_module.ENDINGS}
    assert kinds - {"JPG", "TIF"} == set(SIGNATURES)
