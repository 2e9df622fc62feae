import json

import numpy as np
import pytest
import safetensors.numpy

import minivit
from minivit import pretrained
from minivit.checks.numeric import random_params
from tests.numeric import relative_error

from .cases import NAMES, Case

SIZES = dict(image_size=(4, 6), patch_size=2, channels=3, dim=10, depth=2, heads=5, mlp_dim=20)
MODELS = {
    "timm": [
        dict(pool="cls", classes=7),
        dict(pool="patch_mean", classes=7, norm_pooled=True, layer_scale=0.1),
        dict(pool="patch_mean", classes=7, activation="gelu_tanh", mlp_dim=13),
        dict(pool="mean", classes=0, norm_pooled=True, channels=1),
        dict(pool="mean", classes=3, patch_size=1),
    ],
    "huggingface": [
        dict(pool="cls", classes=7, eps=1e-12),
        dict(pool="cls", classes=0, activation="gelu_tanh", channels=1),
        dict(pool="cls", classes=0, pre_logits=7),
        dict(pool="cls", classes=0, layer_scale=0.1, image_size=6),
    ],
}
CASES = [(layout, sizes) for layout, models in MODELS.items() for sizes in models]

NOT_WRITTEN_BACK = ("timm-no-qkv-bias", "timm-no-embed-class")  # zeros take the place
WRITTEN_BY_TIMM = [n for n in NAMES if n.startswith("timm") and n not in NOT_WRITTEN_BACK]


def saved(folder, layout, activation="gelu_exact", **changes):
    model = minivit.ViT(**SIZES | dict(activation=activation) | changes)
    params = random_params(model, np.random.default_rng(0)).astype(np.float32)
    pretrained.save(model, params, folder, layout)
    H, W = model.config["image_size"]
    images = np.random.default_rng(1).standard_normal((3, H, W, model.config["channels"]))
    return model, params, images.astype(np.float32)


@pytest.mark.parametrize("layout, changes", CASES)
def test_what_is_written_is_read_back(layout, changes, tmp_path):
    model, params, _ = saved(tmp_path / "new", layout, **changes)
    again, params_again, config = pretrained.load(tmp_path / "new")
    sizes = model.config | {"layer_scale": None}
    assert again.config | {"layer_scale": None} == sizes
    assert config["layout"] == layout
    np.testing.assert_array_equal(params_again.flat, params.flat)


@pytest.mark.parametrize(
    "name",
    [n for n in NAMES if n.startswith("timm") and n[5:] not in ("no-qkv-bias", "no-embed-class")],
)
def test_what_timm_wrote_is_written_again_to_the_last_bit(name, tmp_path):
    case = Case(name)
    model, params, _ = pretrained.load(case.write(tmp_path))
    pretrained.save(model, params, tmp_path / "again", "timm")
    arrays = safetensors.numpy.load_file(tmp_path / "again" / "model.safetensors")
    assert arrays.keys() == case.weights.keys()
    for key, array in case.weights.items():
        np.testing.assert_array_equal(arrays[key], array)
    config = json.loads((tmp_path / "again" / "config.json").read_text())
    theirs = case.config["model_args"]
    assert {key: config["model_args"][key] for key in theirs if key != "init_values"} == {
        key: value for key, value in theirs.items() if key != "init_values"
    }


@pytest.mark.parametrize("changes", MODELS["huggingface"])
def test_transformers_opens_it_strictly_and_gives_the_same(changes, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model, params, images = saved(tmp_path, "huggingface", **changes)
    (kind,) = json.loads((tmp_path / "config.json").read_text())["architectures"]
    more = {} if kind != "ViTModel" or changes.get("pre_logits") else {"add_pooling_layer": False}
    theirs, loaded = getattr(transformers, kind).from_pretrained(
        tmp_path, output_loading_info=True, **more
    )
    assert not any(loaded[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    output = theirs.eval()(torch.tensor(images.transpose(0, 3, 1, 2)))
    found = output.get("logits", output.get("pooler_output"))
    found = output.last_hidden_state[:, 0] if found is None else found
    logits, _ = model.forward(params, images)
    assert relative_error(logits, found.detach().numpy()) <= 1e-5


@pytest.mark.parametrize("changes", MODELS["timm"])
def test_timm_opens_it_strictly_and_gives_the_same(changes, tmp_path):
    torch = pytest.importorskip("torch")
    timm = pytest.importorskip("timm")
    model, params, images = saved(tmp_path, "timm", **changes)
    theirs = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    found = theirs(torch.tensor(images.transpose(0, 3, 1, 2)))
    assert relative_error(model.forward(params, images)[0], found.detach().numpy()) <= 1e-5


@pytest.mark.parametrize(
    "layout, changes, message",
    [
        ("keras", {}, "layout must be timm or huggingface, got 'keras'"),
        ("timm", {"norm": "post"}, "pre-norm blocks and learned positions; got norm 'post'"),
        ("timm", {"positions": "sincos1d"}, "got norm 'pre' and positions 'sincos1d'"),
        ("timm", {"eps": 1e-12}, "timm's layer norms have eps = 1e-06"),
        ("timm", {"pre_logits": 3}, "pre_logits = 3"),
        ("huggingface", {"pool": "mean"}, "read the class token; got pool 'mean'"),
        ("huggingface", {"norm_pooled": True}, "and norm_pooled True"),
        ("huggingface", {"pre_logits": 3}, "has a head or a hidden layer before it, not both"),
        ("huggingface", {"layer_scale": 0.1}, "Dinov2Model has no head, a square grid"),
        (
            "huggingface", {"layer_scale": 0.1, "classes": 0, "image_size": 4, "mlp_dim": 13},
            "an mlp_dim divisible by dim; got 0 classes, images of 4 x 4 pixels, 13 and 10",
        ),
    ],
)  # fmt: skip
def test_what_a_library_has_not_is_refused_and_nothing_is_written(
    layout, changes, message, tmp_path
):
    with pytest.raises(ValueError, match=message):
        saved(tmp_path / "new", layout, **dict(pool="cls", classes=7) | changes)
    assert not (tmp_path / "new").exists()
