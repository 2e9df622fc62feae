import json

import cv2
import numpy as np
import pytest

from minivit.data.coco import coco_parts, read_coco


def content():
    """Three pictures, one of which has nothing in it, and three objects."""
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 40, "height": 30},
            {"id": 3, "file_name": "in/b.png", "width": 20, "height": 30},
            {"id": 5, "file_name": "c.png", "width": 20, "height": 30},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 18, "bbox": [1, 2, 10, 20]},
            {"id": 2, "image_id": 3, "category_id": 17, "bbox": [0.5, 2, 3, 4], "iscrowd": 0},
            {"id": 3, "image_id": 7, "category_id": 17, "bbox": [30, 20, 10.5, 10]},
            {"id": 4, "image_id": 5, "category_id": 17, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        ],
    }


def write(folder, value, part="train"):
    """A folder in COCO's layout; the path of its JSON file and the folder of its pictures."""
    path, pictures = folder / "annotations" / f"instances_{part}.json", folder / part
    path.parent.mkdir(exist_ok=True)
    (pictures / "in").mkdir(parents=True, exist_ok=True)
    for name, width in (("a.png", 40), ("in/b.png", 20), ("c.png", 20)):
        cv2.imwrite(str(pictures / name), np.full((30, width, 3), 200, np.uint8))
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path, pictures


def test_pictures_objects_and_classes(tmp_path):
    paths, objects, classes = read_coco(*write(tmp_path, content()))
    assert [path.removeprefix(f"{tmp_path}/train/") for path in paths] == [
        "a.png", "in/b.png", "c.png",
    ]  # fmt: skip
    assert classes == ["cat", "dog"]
    assert objects[0].tolist() == [[1, 1, 2, 11, 22], [0, 30, 20, 40, 30]]
    assert objects[1].tolist() == [[0, 0.5, 2, 3.5, 6]]
    assert objects[2].shape == (0, 5)


def change(place, **values):
    def changed(whole):
        name, number = place
        whole[name][number] |= values

    return changed


@pytest.mark.parametrize(
    "changed, message",
    [
        (change(("annotations", 0), bbox=[35, 2, 10, 20]), r"annotation 1 has a box from \(35, 2\) "
         r"to \(45, 22\), outside of its image of 40 x 30 pixels"),
        (change(("annotations", 0), bbox=[-5, 2, 10, 20]), "outside of its image"),
        (change(("annotations", 0), bbox=[1, 2, 0, 20]), "annotation 1 has a box of 0 x 20"),
        (change(("annotations", 0), bbox=[1, 2, 5, -20]), "a box of 5 x -20; expected an area"),
        (change(("annotations", 0), bbox=[1, 2, float("nan"), 20]), "expected 4 finite numbers"),
        (change(("annotations", 0), bbox=[1, 2, 3]), "annotation 1 has the bbox .1, 2, 3."),
        (change(("annotations", 0), bbox=None), "the bbox None"),
        (change(("annotations", 0), bbox=["1", 2, 3, 4]), "expected 4 finite numbers"),
        (change(("annotations", 1), category_id=1), "annotation 2 is of the category 1, which is"),
        (change(("annotations", 1), category_id=[1]), "unhashable"),
        (change(("annotations", 1), image_id=9), "annotation 2 is of the image 9, which is not"),
        (change(("images", 1), id=7), "two entries have the image id 7"),
        (change(("images", 1), width="wide"), "str"),
        (change(("categories", 1), id=18), "two entries have the category id 18"),
        (change(("categories", 1), name="dog"), "different names of categories"),
        (lambda whole: whole.pop("categories"), "no 'categories'"),
        (lambda whole: whole["images"][0].pop("file_name"), "no 'file_name'"),
        (lambda whole: whole["annotations"][0].pop("bbox"), "no 'bbox'"),
        (lambda whole: whole["annotations"].clear(), "the list 'annotations' is empty"),
        (lambda whole: whole["images"].clear(), "the list 'images' is empty"),
        (lambda whole: whole.update(images=3), "expected a list of objects as 'images', got 3"),
        (lambda whole: whole.update(annotations=[3]), "a list of objects as .annotations., got"),
        (lambda whole: [each.update(iscrowd=1) for each in whole["annotations"]], "no objects"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_in_a_line(tmp_path, changed, message):
    whole = content()
    changed(whole)
    path, pictures = write(tmp_path, whole)
    with pytest.raises(ValueError, match=message) as error:
        read_coco(path, pictures)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"images": ' + "[" * 5000])
def test_what_is_no_such_json_is_refused(tmp_path, text):
    path, pictures = write(tmp_path, text)
    with pytest.raises(ValueError, match="damaged"):
        read_coco(path, pictures)


def test_a_missing_picture_is_named(tmp_path):
    path, pictures = write(tmp_path, content())
    (pictures / "c.png").unlink()
    with pytest.raises(FileNotFoundError, match="no picture .*c.png, of image 5"):
        read_coco(path, pictures)


def test_the_parts_of_a_folder(tmp_path):
    write(tmp_path, content())
    with pytest.raises(FileNotFoundError, match="has no annotations/instances_val.json"):
        coco_parts(tmp_path)
    write(tmp_path, content(), "val2017")
    assert coco_parts(tmp_path) == {
        "train": (tmp_path / "annotations" / "instances_train.json", tmp_path / "train"),
        "val": (tmp_path / "annotations" / "instances_val2017.json", tmp_path / "val2017"),
    }
    write(tmp_path, content(), "val2014")
    with pytest.raises(ValueError, match="instances_val2014.json and .* are both for val"):
        coco_parts(tmp_path)


def test_a_part_without_pictures_is_named(tmp_path):
    path, _ = write(tmp_path, content())
    path.rename(path.with_name("instances_training.json"))
    with pytest.raises(FileNotFoundError, match="there is no folder .*training"):
        coco_parts(tmp_path)
