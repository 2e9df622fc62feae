"""How a picture becomes a model's input, and the names of the classes, as published files say."""

import dataclasses
import json

import pytest

from minivit import pretrained
from minivit.data.framing import Framing
from minivit.data.normalize import Normalize

from .cases import Case, hugging_face


@pytest.mark.parametrize(
    "processor, expected",
    [
        (
            {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224},
             "resample": 3, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]},
            (Normalize([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]), Framing(0.875, False, "bicubic")),
        ),
        (
            {"size": {"height": 224, "width": 224}, "resample": 2},
            (Normalize([0.5] * 3, [0.5] * 3), Framing(1.0, True, "bilinear")),
        ),
        ({"size": 224}, (Normalize([0.5] * 3, [0.5] * 3), Framing(1.0, True, "bilinear"))),
        (None, (Normalize([0.5] * 3, [0.5] * 3), Framing(1.0, True, "bilinear"))),
    ],
)  # fmt: skip
def test_hugging_faces_preparation_of_images(processor, expected, tmp_path):
    hugging_face("ViTForImageClassification", num_labels=3).save_pretrained(tmp_path)
    if processor:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    _, _, config = pretrained.load(tmp_path)
    normalize, framing = expected
    assert config["preparation"] == dataclasses.asdict(normalize) | dataclasses.asdict(framing)
    assert config["classes"] == ["LABEL_0", "LABEL_1", "LABEL_2"]


@pytest.mark.parametrize(
    "processor, message",
    [
        ({"resample": 0}, "asks for resample 0"),
        ({"do_normalize": False}, "do_normalize False"),
        ({"rescale_factor": 1 / 127.5}, "rescale_factor 0.00784"),
        ({"image_mean": [0.5, 0.5], "image_std": [0.5, 0.5]}, "the mean has 2 numbers for 3"),
        ({"size": {"shortest_edge": "256"}, "crop_size": 224}, "cannot be read into a ViT"),
    ],
)
def test_a_preparation_that_minivit_lacks_is_refused(processor, message, tmp_path):
    hugging_face("ViTForImageClassification", num_labels=3).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    with pytest.raises(ValueError, match=message):
        pretrained.load(tmp_path)


@pytest.mark.parametrize("names", [{"1": "a", "2": "b", "3": "c"}, {"0": "a\n", "1": 2, "2": "c"}])
def test_class_names_that_make_no_sense_become_numbers(names, tmp_path):
    hugging_face("ViTForImageClassification", num_labels=3).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | {"id2label": names}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert pretrained.load(tmp_path)[2]["classes"] == ["0", "1", "2"]


def test_timms_preparation_of_images(tmp_path):
    case = Case("timm-token")
    case.config["pretrained_cfg"] |= dict(crop_pct=0.95, crop_mode="squash", mean=[0.1, 0.2, 0.3])
    case.config["label_names"] = list("abcdefghi")
    _, _, config = pretrained.load(case.write(tmp_path))
    assert config == {
        "layout": "timm",
        "preparation": {
            "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5], "crop": 0.95, "squash": True,
            "interpolation": "bicubic",
        },
        "classes": list("abcdefghi"),
    }  # fmt: skip
