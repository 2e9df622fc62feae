"""Networks that a ViT here cannot be, and files that lie about theirs: refused in one line."""

import json
import tracemalloc

import numpy as np
import pytest

import minivit
from minivit import pretrained

from .cases import GOLDEN, Case, write_folder

REFUSED = json.loads((GOLDEN / "timm-refused.json").read_text(encoding="utf-8"))
PARTS = {
    "distilled": "a distillation token", "reg_tokens": "register tokens",
    "pre_norm": "a layer norm before the blocks", "qk_norm": "normalised queries and keys",
    "map": "pooling by attention",
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_vit_here_has_not_is_refused_by_name(name, tmp_path):
    shapes = REFUSED[name]["shapes"]
    weights = {key: np.ones(shape, np.float32) for key, shape in shapes.items()}
    write_folder(tmp_path, weights, REFUSED[name]["config"])
    with pytest.raises(ValueError, match=f"it has {PARTS[name]} "):
        pretrained.load(tmp_path)


def test_hugging_faces_deit_is_refused_by_name(tmp_path):
    transformers = pytest.importorskip("transformers")
    sizes = dict(hidden_size=10, num_hidden_layers=1, num_attention_heads=5, intermediate_size=13)
    config = transformers.DeiTConfig(**sizes, image_size=4, patch_size=2)
    transformers.DeiTModel(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="it has a distillation token"):
        pretrained.load(tmp_path)


def without(name):
    return lambda weights, config: weights.pop(name)


def claiming(**claims):
    return lambda weights, config: config["model_args"].update(claims)


@pytest.mark.parametrize(
    "change, message",
    [
        (without("blocks.1.norm2.bias"), "missing: blocks.1.norm2.bias$"),
        (without("patch_embed.proj.bias"), "patch_embed.proj.bias is missing; expected 1 axes"),
        (without("pos_embed"), "pos_embed is missing; expected 3 axes"),
        (lambda w, c: w.update(extra=w["norm.bias"]), "left over: extra$"),
        (
            lambda w, c: w.update({"norm.bias": w["norm.bias"][:9]}),
            r"of another shape: norm.bias is \(9,\), not \(10,\)$",
        ),
        (
            lambda w, c: w.update({f"x{i}": w["norm.bias"] for i in range(9)}),
            "left over: x0, x1, x2, x3 and 5 more",
        ),
        (
            lambda w, c: w.update({"patch_embed.proj.bias": np.ones(10**6, np.float32)}),
            "config.json says dim 10; the arrays are of 1000000",
        ),
        (claiming(embed_dim=768), "config.json says dim 768; the arrays are of 10"),
        (claiming(img_size=[8, 6]), "says images of 8 x 6 pixels, but has 7 positions"),
        (claiming(img_size="large"), "height must be an integer, got 'large'"),
        (claiming(num_heads=3), "dim 10 is not divisible by heads 3"),
        (claiming(num_heads="five"), "heads must be an integer, got 'five'"),
        (claiming(act_layer="relu"), "the activation relu and the pooling token; expected gelu or"),
        (claiming(global_pool="map"), "the pooling map; expected"),
        (claiming(pool_include_prefix=True), "pool_include_prefix"),
        (
            lambda w, c: c.update(architecture="vit_base_patch16_siglip_gap_256"),
            "architecture vit_base_patch16_siglip_gap_256 has parts that config.json does not",
        ),
        (lambda w, c: c["pretrained_cfg"].update(std=[1, 0, 1]), "std greater than 0"),
        (lambda w, c: c["pretrained_cfg"].update(mean="grey"), "cannot be read into a ViT: "),
        (lambda w, c: c.update(model_args=[1]), "cannot be read into a ViT: "),
        (lambda w, c: w.update({"norm.bias": w["norm.bias"] * np.nan}), "norm.bias is not finite"),
        (
            lambda w, c: w.update({"norm.bias": w["norm.bias"].astype(int)}),
            "norm.bias: it holds I64 numbers; expected floating-point numbers",
        ),
    ],
)
def test_what_does_not_fit_is_listed(change, message, tmp_path):
    case = Case("timm-token")
    change(case.weights, case.config)
    with pytest.raises(ValueError, match=message) as refused:
        pretrained.load(case.write(tmp_path))
    assert str(tmp_path) in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "arrays",
    [
        {"patch_embed.proj.bias": np.ones(10**6, np.float32)},
        {"head.bias": np.ones(10**8, np.int8)},
        {"pre_logits.fc.bias": np.ones(10**8, np.int8)},
        {f"blocks.{i}.norm1.weight": np.ones(1, np.float32) for i in range(3000)},
        {"patch_embed.proj.weight": np.ones((0, 2**27, 1, 1), np.float32)},
    ],
    ids=lambda arrays: min(arrays),
)
def test_no_memory_is_taken_for_more_than_the_file_holds(arrays, tmp_path):
    case = Case("timm-token")
    case.config = {"architecture": "vit_tiny_patch2_6", "global_pool": "token"}
    case.weights["pos_embed"] = case.weights["pos_embed"][:, :5]
    case.weights |= arrays
    path = case.write(tmp_path)
    tracemalloc.start()
    with pytest.raises(ValueError, match="are too few for .* blocks of .* features"):
        pretrained.load(path)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


def test_a_number_too_large_for_float32_is_refused(tmp_path):
    case = Case("timm-token")
    case.weights["norm.weight"] = np.full(10, 1e300)
    with pytest.raises(ValueError, match="norm.weight is not finite"):
        pretrained.load(case.write(tmp_path))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"image_size": 5}, "5 x 5 pixels cannot be cut into patches of 2 x 2"),
        ({"image_size": 10**6}, "images of 1000000 x 1000000 pixels, .* tokens, are too large"),
        ({"heads": 3}, "dim 10 is not divisible by heads 3"),
        ({"eps": -1}, "eps must be positive"),
        ({"eps": "tiny"}, "cannot be read into a ViT"),
        ({"pool": "max"}, 'pool must be "mean", or "cls"'),
        ({"classes": -2}, "classes must be at least 1, got -2"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        pretrained.load(Case("timm-token").write(tmp_path), **options)


def test_numbers_that_changed_on_disk_are_noticed(tmp_path):
    case = Case("google-token")
    path = case.write(tmp_path)
    numbers = case.weights["head/kernel"].tobytes()
    data = path.read_bytes()
    assert data.count(numbers) == 1
    path.write_bytes(data.replace(numbers, numbers[:-1] + b"\0"))
    with pytest.raises(ValueError, match="Bad CRC-32 for file 'head/kernel"):
        pretrained.load(path)


def test_a_run_of_minivits_own_is_told_apart(tmp_path):
    model = minivit.ViT(
        image_size=4, patch_size=2, channels=1, dim=4, depth=1, heads=1, mlp_dim=3, classes=2
    )
    params = minivit.Params(model.init(np.random.default_rng(0)))
    params.save(tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match=r"minivit\.Classifier\.load reads"):
        pretrained.load(tmp_path)
