"""Published layouts, read: the numbers of the library that wrote them, forward and backward."""

import json

import numpy as np
import pytest

import minivit
from minivit import pretrained
from minivit.backend import to_device
from minivit.checks.structure import structure
from minivit.pretrained.layout import instances
from minivit.pretrained.load import LAYOUTS
from minivit.pretrained.positions import resize_positions
from tests.numeric import relative_error
from tests.samples import sample

from .cases import NAMES, Case, hugging_face, write_folder


def layout_of(name, weights):
    return next(layout for layout in LAYOUTS if layout.mark in layout.rename(list(weights)))


def under_their_names(layout, model, nest):
    """{their name: array} of arrays under our names."""
    theirs, leaves = {}, dict(nest.named())
    for ours, names, kind in instances(layout.rules, model.config["depth"]):
        if ours in leaves:
            theirs |= zip(names, kind.write(leaves[ours], len(names), model.config), strict=True)
    return theirs


def assert_close(gradient, expected, gradients, limit):
    """The keys' bias has no gradient but rounding, so that of others is the scale there."""
    largest = max(abs(each).max() for each in gradients.values())
    assert gradient.shape == expected.shape
    assert abs(gradient - expected).max() <= limit * max(abs(expected).max(), 1e-4 * largest)


def load(case, folder, **options):
    asked = {} if case.config or "google" in case.metadata["library"] else {"heads": 5}
    return pretrained.load(case.write(folder), **asked | options)


@pytest.mark.parametrize("name", NAMES)
def test_logits_and_every_gradient_are_those_of_the_library(name, tmp_path):
    case = Case(name)
    model, params, _ = load(case, tmp_path)
    config = model.config | {"layer_scale": model.config["layer_scale"] is not None}
    assert {key: config[key] for key in case.expect} == case.expect
    logits, _ = model.forward(params, case.images)
    assert logits.dtype == np.float32
    assert relative_error(logits, case.logits) <= 1e-5
    params = params.astype(np.float64)  # or another eps would not be seen
    logits, cache = model.forward(params, case.images.astype(np.float64))
    assert relative_error(logits, case.logits) <= 1e-6
    grads = params.zeros_like()
    dimages = model.backward(params, case.dlogits.astype(np.float64), cache, grads)
    assert relative_error(dimages, case.gradients.pop("images")) <= 1e-6
    names = layout_of(name, case.weights).rename(list(case.weights))
    found = under_their_names(layout_of(name, case.weights), model, grads)
    assert len(case.gradients) == len(case.weights) >= 30
    for published, in_file in names.items():
        gradient, expected = found.pop(published), case.gradients[in_file]
        if "no-embed-class" in name and published == "pos_embed":
            gradient = gradient[:, 1:]  # theirs has none for the class token
        assert_close(gradient, expected, case.gradients, 1e-6)
    assert all("qkv.bias" in each for each in found)  # what the network has not


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("torchvision")])
def test_torchvisions_first_names_are_read_too(name, tmp_path):
    case = Case(name)
    for new, old in json.loads(case.metadata["old_names"]).items():
        case.weights = {key.replace(new, old): value for key, value in case.weights.items()}
    assert any("linear_1" in key for key in case.weights)
    model, params, _ = load(case, tmp_path)
    assert relative_error(model.forward(params, case.images)[0], case.logits) <= 1e-5


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("google")])
def test_the_names_that_flax_gives_today_are_read_too(name, tmp_path):
    case = Case(name)
    for number, today in (
        ("MultiHeadDotProductAttention_1", "MultiHeadDotProductAttention_0"),
        ("LayerNorm_2", "LayerNorm_1"), ("MlpBlock_3", "MlpBlock_0"),
    ):  # fmt: skip
        case.weights = {key.replace(number, today): each for key, each in case.weights.items()}
    assert any("MlpBlock_0" in key for key in case.weights)
    model, params, _ = load(case, tmp_path)
    assert relative_error(model.forward(params, case.images)[0], case.logits) <= 1e-5


HUGGING_FACE = {
    "image classification": ("ViTForImageClassification", dict(num_labels=7)),
    "no qkv bias": ("ViTForImageClassification", dict(qkv_bias=False)),
    "tanh": ("ViTForImageClassification", dict(hidden_act="gelu_new", layer_norm_eps=1e-3)),
    "pooler": ("ViTModel", dict(pooler_output_size=7)),
    "dinov2": ("Dinov2Model", dict()),
}


def output_of(model, pixels):
    output = model(pixels)
    return output.logits if hasattr(output, "logits") else output.pooler_output


@pytest.mark.parametrize("in_memory", [False, True], ids=["as saved", "names of transformers 5"])
@pytest.mark.parametrize("name", HUGGING_FACE)
def test_hugging_faces_logits_and_gradients(name, in_memory, tmp_path):
    torch = pytest.importorskip("torch")
    kind, changes = HUGGING_FACE[name]
    theirs = hugging_face(kind, **changes)
    theirs.save_pretrained(tmp_path)
    if in_memory:
        write_folder(tmp_path, {key: value.numpy() for key, value in theirs.state_dict().items()})
    model, params, config = pretrained.load(tmp_path)
    H, W = model.config["image_size"]
    rng = np.random.default_rng(0)
    images = rng.standard_normal((3, H, W, 3))
    pixels = torch.tensor(images.transpose(0, 3, 1, 2)).contiguous().requires_grad_()
    output = output_of(theirs.double(), pixels)
    logits, _ = model.forward(params, images.astype(np.float32))
    assert relative_error(logits, output.detach().numpy()) <= 1e-5
    params = params.astype(np.float64)
    logits, cache = model.forward(params, images)
    assert relative_error(logits, output.detach().numpy()) <= 1e-10
    dlogits = rng.standard_normal(logits.shape)
    grads = params.zeros_like()
    dimages = model.backward(params, dlogits, cache, grads)
    output.backward(torch.tensor(dlogits))
    assert relative_error(dimages, pixels.grad.numpy().transpose(0, 2, 3, 1)) <= 1e-9
    gradients = {
        key: value.grad.numpy()
        for key, value in theirs.named_parameters()
        if value.grad is not None
    }
    layout = layout_of(name, gradients)
    found = under_their_names(layout, model, grads)
    for published, in_file in layout.rename(list(gradients)).items():
        if published not in layout.unused:
            assert_close(found.pop(published), gradients[in_file], gradients, 1e-9)
    assert not found or name == "no qkv bias"
    assert config["layout"] == "huggingface"


@pytest.mark.parametrize("kind, eps", [("ViTModel", 1e-12), ("Dinov2Model", 1e-6)])
def test_without_a_word_on_eps_it_is_hugging_faces_default(kind, eps, tmp_path):
    hugging_face(kind).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config.pop("layer_norm_eps") == eps
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert pretrained.load(tmp_path)[0].config["eps"] == eps


def test_a_folder_in_parts_is_one_network(tmp_path):
    theirs = hugging_face("ViTModel")
    theirs.save_pretrained(tmp_path / "whole")
    theirs.save_pretrained(tmp_path / "parts", max_shard_size="3KB")
    assert len(list((tmp_path / "parts").glob("model-*.safetensors"))) > 2
    whole, parts = (pretrained.load(tmp_path / name)[1] for name in ("whole", "parts"))
    np.testing.assert_array_equal(parts.flat, whole.flat)


@pytest.mark.parametrize("name", ["timm-token", "google-token", "torchvision-plain"])
def test_positions_for_another_size_are_resized_as_the_library_does(name, tmp_path):
    case = Case(name)
    model, params, _ = load(case, tmp_path, image_size=(12, 10))
    assert model.config["image_size"] == [12, 10]
    layout = layout_of(name, case.weights)
    (pos,) = (array for key, array in case.weights.items() if "pos" in key and array.ndim == 3)
    old = [side // 2 for side in case.expect["image_size"]]
    expected = resize_positions(pos[0], old, (6, 5), layout.positions)
    np.testing.assert_array_equal(params["pos"], expected)
    assert np.isfinite(model.forward(params, np.ones((1, 12, 10, 3), np.float32))[0]).all()


def test_dinov2_at_another_size_is_that_of_hugging_face(tmp_path):
    torch = pytest.importorskip("torch")
    theirs = hugging_face("Dinov2Model")
    theirs.save_pretrained(tmp_path)
    for H, W in ((8, 14), (4, 2), (10, 6)):
        model, params, _ = pretrained.load(tmp_path, image_size=(H, W))
        images = np.random.default_rng(0).standard_normal((2, H, W, 3), np.float32)
        output = output_of(theirs, torch.tensor(images.transpose(0, 3, 1, 2)))
        assert relative_error(model.forward(params, images)[0], output.detach().numpy()) <= 1e-5


def test_the_head_stays_goes_or_is_new(tmp_path):
    case = Case("timm-token")
    path = case.write(tmp_path)
    kept, features, fresh = (pretrained.load(path, classes=count) for count in (9, 0, 4))
    np.testing.assert_array_equal(kept[1]["head"]["b"], case.weights["head.bias"])
    assert features[0].forward(features[1], case.images)[0].shape == (3, 10)
    assert features[2]["classes"] == []
    assert fresh[1]["head"]["w"].shape == (10, 4)
    assert not fresh[1]["head"]["w"].any()
    assert fresh[2]["classes"] == list("0123")


def test_what_the_files_do_not_say_can_be_given(tmp_path):
    case = Case("timm-avg-no-fc-norm")  # the arrays of a model that reads its class token
    case.config = {"pretrained_cfg": {"input_size": [3, 4, 6]}}
    path = case.write(tmp_path)
    with pytest.raises(ValueError, match="nothing in it says heads; give heads="):
        pretrained.load(path)
    with pytest.raises(ValueError, match="nothing in it says pool; give pool="):
        pretrained.load(path, heads=5)
    assert pretrained.load(path, heads=5, pool="cls")[0].config["pool"] == "cls"
    model, params, _ = pretrained.load(path, heads=5, pool="mean", eps=1e-6)
    assert relative_error(model.forward(params, case.images)[0], case.logits) <= 1e-5
    assert pretrained.load(path, heads=2, pool="cls", eps=1e-3)[0].config["eps"] == 1e-3


@pytest.mark.parametrize(
    "architecture, heads",
    [("vit_tiny_patch2_6", 3), ("deit3_small_patch16_224", 6), ("vit_x", None)],
)
def test_timms_architecture_tells_the_heads(architecture, heads, tmp_path):
    sizes = dict(dim=24, depth=1, heads=2, mlp_dim=5, classes=3, pool="cls")
    model = minivit.ViT(image_size=4, patch_size=2, channels=3, **sizes)
    params = minivit.Params(model.init(np.random.default_rng(0)))
    pretrained.save(model, params, tmp_path, "timm")
    config = {"architecture": architecture, "global_pool": "token"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    if heads is None:
        with pytest.raises(ValueError, match="give heads="):
            pretrained.load(tmp_path)
    else:
        assert pretrained.load(tmp_path)[0].config["heads"] == heads


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_precisions_are_read_as_float32(dtype, tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    case = Case("timm-token")
    folder = case.write(tmp_path)
    tensors = {
        key: torch.tensor(value).to(getattr(torch, dtype)) for key, value in case.weights.items()
    }
    save_file(tensors, folder / "model.safetensors")
    _, params, _ = pretrained.load(folder)
    assert params.flat.dtype == np.float32
    np.testing.assert_array_equal(params["cls"], tensors["cls_token"].float().numpy()[0, 0])
    np.testing.assert_array_equal(params["head"]["w"], tensors["head.weight"].float().numpy().T)


def test_what_was_read_works_on_every_backend(tmp_path, device):
    case = Case("timm-layer-scale")
    model, params, _ = load(case, tmp_path)
    there, images = params.to(device), to_device(case.images, device)
    logits, cache = model.forward(there, images)
    grads = there.zeros_like()
    dimages = model.backward(there, to_device(case.dlogits, device), cache, grads)
    assert relative_error(to_device(logits, "cpu"), case.logits) <= 1e-5
    expected = case.gradients.pop("images")
    assert relative_error(to_device(dimages, "cpu"), expected) <= 1e-4
    assert grads.to("cpu").flat.any()


@pytest.mark.parametrize("name", sample(NAMES, 15))
def test_structure_and_gradcheck_hold_for_what_was_read(name, tmp_path):
    model, _, _ = load(Case(name), tmp_path, classes=3)
    findings = structure(model)
    assert findings.ok, findings
    report = minivit.gradcheck(
        model, np.random.default_rng(0).standard_normal((2, *model.config["image_size"], 3)),
        loss=lambda logits: minivit.cross_entropy(logits, np.array([0, 2])),
    )  # fmt: skip
    assert report.ok, report
