import json
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import minivit
from minivit.backend import array_module
from minivit.checks.numeric import random_params
from tests.numeric import both_ways, passes, relative_error

pytestmark = pytest.mark.usefixtures("everywhere")
SMALL = dict(
    image_size=(4, 6), patch_size=2, channels=3, dim=6, depth=2, heads=3, mlp_dim=7, classes=5
)
MNIST = dict(
    image_size=28, patch_size=7, channels=1, dim=64, depth=4, heads=4, mlp_dim=128, classes=10
)
KINDS = [
    dict(pool="mean"),
    dict(pool="cls"),
    dict(pool="mean", positions="sincos1d", norm="post"),
    dict(pool="cls", positions="sincos2d", norm="post", dim=12),
    dict(pool="cls", positions="rotary", dim=12),
    dict(pool="mean", positions="rotary", norm="post", dim=12),
    dict(pool="patch_mean", layer_scale=0.1, norm_pooled=True, pre_logits=4),
    dict(pool="mean", image_size=(7, 11), stem=[(3, 2, 4), (2, 1, 5)]),
]
every_kind = pytest.mark.parametrize("kind", KINDS)


def case(seed=0, batch=3, **changes):
    """A model with random parameters, images and labels, in float64."""
    rng = np.random.default_rng(seed)
    model = minivit.ViT(**{**SMALL, **changes})
    params = random_params(model, rng)
    H, W = model.config["image_size"]
    images = rng.standard_normal((batch, H, W, model.config["channels"]))
    return model, params, images, rng.integers(0, model.config["classes"], batch)


@pytest.mark.numeric
@both_ways
@every_kind
def test_gradients_equal_numeric_ones(kind, differentiate, dtype, limit):
    model, params, images, labels = case(**kind, seed=1)
    _, _, gradients = passes(model, params, images, labels, smoothing=0.1)
    params, images = params.astype(dtype), images.astype(dtype)

    def loss():
        logits, _ = model.forward(params, images, keep=False)
        return minivit.cross_entropy(logits, labels, smoothing=0.1)[0]

    for name, array in [("images", images), *params.named()]:
        assert relative_error(gradients[name], differentiate(loss, array)) <= limit, name


@pytest.mark.parametrize("seed", range(24))
def test_random_configurations_equal_pytorch(seed):
    pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    heads, patch_size = (int(n) for n in rng.integers(1, 5, 2))
    rows, columns, width, depth, channels, mlp_dim, classes, batch = (
        int(n) for n in rng.integers(1, 6, 8)
    )
    positions = ["learned", "sincos1d", "sincos2d", "learned", None][seed % 5]
    model, params, images, labels = case(
        seed,
        batch,
        image_size=(rows * patch_size, columns * patch_size),
        patch_size=patch_size,
        channels=channels,
        # layer norm of one feature has no gradient to compare; sinusoids need multiples of 4
        dim=heads * (4 * width if "sincos" in str(positions) else width + 1),
        depth=depth,
        heads=heads,
        mlp_dim=mlp_dim,
        classes=classes + 1,
        pool=["mean", "cls", "patch_mean"][seed % 3],
        activation=["gelu_tanh", "gelu_exact"][seed % 2],
        layer_scale=[None, 0.1][seed % 4 == 2],
        norm_pooled=seed % 5 < 2,
        pre_logits=[None, 7][seed % 6 == 1],
        positions=positions,
        norm=["pre", "post"][seed % 4 == 3],
        eps=[1e-6, 1e-3][seed % 3 == 2],
    )
    expect_equal_to_pytorch(model, params, images, labels, [0.0, 0.1][seed % 7 == 3])


def test_a_stem_equals_pytorch():
    pytest.importorskip("torch")
    expect_equal_to_pytorch(*case(3, image_size=(9, 13), stem=[(3, 2, 4), (1, 1, 5)]))


def expect_equal_to_pytorch(model, params, images, labels, smoothing=0.0):
    """Loss, logits and every gradient are those of the twin."""
    from tests import torch_reference

    loss, logits, gradients = passes(model, params, images, labels, smoothing)
    twin_loss, twin_logits, expected = torch_reference.passes(
        params, images, labels, model.config, smoothing
    )
    assert loss == pytest.approx(twin_loss, rel=1e-10)
    assert relative_error(logits, twin_logits) <= 1e-10
    assert gradients.keys() == expected.keys()
    for name, gradient in expected.items():
        assert relative_error(gradients[name], gradient) <= 1e-10, name


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_every_line_keeps_the_dtype(dtype):
    """Follow every array of a training step, line by line: `+=` would hide an upcast."""
    model, params, images, labels = case(pool="cls")
    params, images = params.astype(dtype), images.astype(dtype)
    optimizer, grads = minivit.AdamW(params, 1e-3), params.zeros_like()
    folder = str(Path(minivit.__file__).parent)
    allowed = {np.dtype(dtype), np.zeros(0, dtype).real.dtype}
    seen = set()

    def watch(frame, event, argument):
        if not frame.f_code.co_filename.startswith(folder):
            return None
        for name, value in frame.f_locals.items():
            if is_array(value) and value.dtype.kind in "fc":
                seen.add((frame.f_code.co_name, name))
                place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                assert value.dtype in allowed, f"{place} {name} is {value.dtype}"
        return watch

    def is_array(value):
        return isinstance(value, (np.ndarray, np.generic)) or array_module(value) is not np

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        logits, cache = model.forward(params, images)
        _, dlogits = minivit.cross_entropy(logits, labels, smoothing=0.1)
        model.backward(params, dlogits, cache, grads)
        if dtype != np.complex128:  # optimizers are for real numbers
            minivit.clip_by_global_norm(grads, 1.0)
            optimizer.step(grads)
    finally:
        sys.settrace(before)
    assert {("forward", "scores"), ("backward", "dscores"), ("backward", "along_normed")} <= seen


def test_initial_values():
    model = minivit.ViT(**{**MNIST, "depth": 8, "dim": 128, "mlp_dim": 512, "pool": "cls"})
    params = minivit.Params(model.init(np.random.default_rng(0)))
    stds = {
        "patches.w": 1 / 7,
        "pos": 0.02,
        "blocks.7.attn.qkv.w": 128**-0.5,
        "blocks.7.attn.proj.w": 128**-0.5 / 4,  # 1/√(2L) = 1/4
        "blocks.7.mlp.fc1.w": 128**-0.5,
        "blocks.7.mlp.fc2.w": 512**-0.5 / 4,
    }
    for name, leaf in params.named():
        if name in stds:
            assert leaf.std() == pytest.approx(stds[name], rel=0.03), name
        elif leaf.ndim == 1 and ".ln" in f".{name}" and name.endswith("w"):
            assert (leaf == 1).all(), name
        elif not name.startswith("blocks.") or name.endswith("b"):
            assert not leaf.any(), name  # the head's too, so that a new model guesses


def test_parameter_names_and_counts():
    model = minivit.ViT(**MNIST)
    params = minivit.Params(model.init(np.random.default_rng(0)))
    block = (64 * 192 + 192) + (64 * 64 + 64) + 4 * 64 + (64 * 128 + 128) + (128 * 64 + 64)
    assert params.flat.size == 49 * 64 + 64 + 16 * 64 + 4 * block + 128 + 640 + 10 == 138_890
    names = [name for name, _ in minivit.Params(case(pool="cls")[0].init(params_rng())).named()]
    assert names[:4] == ["patches.w", "patches.b", "cls", "pos"]
    assert names[4:16] == [
        f"blocks.0.{name}"
        for name in (
            "ln1.w", "ln1.b", "attn.qkv.w", "attn.qkv.b", "attn.proj.w", "attn.proj.b",
            "ln2.w", "ln2.b", "mlp.fc1.w", "mlp.fc1.b", "mlp.fc2.w", "mlp.fc2.b",
        )
    ]  # fmt: skip
    assert names[-4:] == ["ln.w", "ln.b", "head.w", "head.b"]


def test_a_post_norm_model_has_no_last_norm_and_its_stream_no_gain():
    params = minivit.Params(minivit.ViT(**{**MNIST, "norm": "post"}).init(params_rng()))
    assert params["ln"] == {}
    assert params.flat.size == 138_890 - 2 * 64
    assert params["blocks"][0]["attn"]["proj"]["w"].std() == pytest.approx(1 / 8, rel=0.03)


def test_without_classes_the_pooled_features_are_returned():
    model, params, images, _ = case(pool="patch_mean", norm_pooled=True)
    features = minivit.ViT(**model.config | {"classes": 0})
    nest = params.nest | {"head": {}}
    y, cache = features.forward(nest, images)
    assert y.shape == (3, 6)
    np.testing.assert_allclose(y.mean(axis=1) * 0, 0)
    logits, _ = model.forward(params, images)
    np.testing.assert_allclose(y @ params["head"]["w"] + params["head"]["b"], logits)
    grads = minivit.Params(nest).zeros_like()
    dimages = features.backward(nest, y, cache, grads)
    assert dimages.shape == images.shape
    assert grads["pooled_ln"]["w"].any()


@every_kind
def test_the_repr_is_the_call_that_makes_the_same_model(kind):
    model = minivit.ViT(**{**SMALL, **kind, "dropout": 0.1})
    H, W = kind.get("image_size", (4, 6))
    assert repr(model).startswith(f"ViT(image_size=[{H}, {W}], patch_size=2, channels=3, ")
    assert eval(repr(model), {"ViT": minivit.ViT}).config == model.config


def params_rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    "patch_size, dim, depth, heads, classes, count",
    [
        (16, 768, 12, 12, 1000, 86_567_656),  # ViT-B/16, as in google-research's own tests
        (32, 768, 12, 12, 1000, 88_224_232),  # ViT-B/32
        (16, 384, 12, 6, 1000, 22_050_664),  # ViT-S/16
    ],
)
def test_counts_of_the_papers_models(patch_size, dim, depth, heads, classes, count):
    class Zeros:  # a generator that costs no time
        def standard_normal(self, shape):
            return np.zeros(shape, np.float32)

    model = minivit.ViT(
        image_size=224, patch_size=patch_size, channels=3, dim=dim, depth=depth, heads=heads,
        mlp_dim=4 * dim, classes=classes, pool="cls",
    )  # fmt: skip
    assert minivit.Params(model.init(Zeros())).flat.size == count


def test_evaluation_gives_the_same_logits_in_less_memory():
    model = minivit.ViT(**{**MNIST, "depth": 8})
    params = minivit.Params(model.init(np.random.default_rng(0)))
    params["head"]["w"][...] = np.random.default_rng(2).standard_normal((64, 10))
    images = np.random.default_rng(1).standard_normal((50, 28, 28, 1)).astype(np.float32)
    peaks = []
    outputs = []
    for keep in (True, False):
        tracemalloc.start()
        logits, cache = model.forward(params, images, keep=keep)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        outputs.append(logits)
    assert cache is None
    np.testing.assert_array_equal(*outputs)
    assert peaks[1] < peaks[0] / 4
    with pytest.raises(ValueError, match="call forward with keep=True"):
        model.backward(params, logits, cache, params.zeros_like())


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"patch_size": 5}, ValueError, "28 x 28 pixels cannot be cut into patches of 5 x 5"),
        ({"image_size": (28, 28, 1)}, ValueError, r"or \(height, width\), got \(28, 28, 1\)"),
        ({"heads": 5}, ValueError, "dim 64 is not divisible by heads 5"),
        ({"dim": 0}, ValueError, "dim must be at least 1, got 0"),
        ({"classes": -1}, ValueError, "classes must be at least 1, got -1"),
        ({"mlp_dim": 12.5}, TypeError, "mlp_dim must be an integer, got 12.5"),
        ({"image_size": 28.0}, TypeError, "height must be an integer, got 28.0"),
        ({"channels": "RGB"}, TypeError, "channels must be an integer, got 'RGB'"),
        ({"pool": "max"}, ValueError, 'pool must be "mean", "cls" or "patch_mean", got \'max\''),
        ({"activation": "relu"}, ValueError, '"gelu_tanh" or "gelu_exact", got \'relu\''),
        ({"pre_logits": 0}, ValueError, "pre_logits must be at least 1, got 0"),
        ({"norm": "post", "layer_scale": 1e-5}, ValueError, 'layer_scale needs norm="pre"'),
        ({"positions": "none"}, ValueError, '"sincos2d", "rotary" or None, got \'none\''),
        (
            {"positions": "rotary", "dim": 6, "heads": 2},
            ValueError,
            "width 3 of a head must be even",
        ),
        ({"positions": "sincos2d", "dim": 66, "heads": 2}, ValueError, "dim 66 must be divisible"),
        ({"norm": "none"}, ValueError, 'norm must be "pre" or "post", got \'none\''),
        ({"eps": 0}, ValueError, "eps must be positive and finite, got 0"),
    ],
)
def test_refuses_configurations_that_cannot_work(change, error, message):
    with pytest.raises(error, match=message):
        minivit.ViT(**{**MNIST, **change})


@pytest.mark.parametrize(
    "images, error, message",
    [
        (np.zeros((2, 4, 6, 3), np.uint8), TypeError, "images are uint8; expected .* float64"),
        (np.zeros((2, 4, 6, 3), np.float32), TypeError, "images are float32; expected .* float64"),
        ([[0.0]], TypeError, "images are list; expected an array of float64"),
        (np.zeros((2, 6, 4, 3)), ValueError, r"expected shape \(B, 4, 6, 3\), got \(2, 6, 4, 3\)"),
        (np.zeros((4, 6, 3)), ValueError, r"expected shape \(B, 4, 6, 3\), got \(4, 6, 3\)"),
    ],
)
def test_refuses_images_that_do_not_fit(images, error, message):
    model, params, _, _ = case()
    with pytest.raises(error, match=message):
        model.forward(params, images)


@pytest.mark.parametrize(
    "spoil, error, message",
    [
        (lambda d: d.T.copy(), ValueError, r"expected shape \(3, 5\), got \(5, 3\)"),
        (lambda d: d[:2], ValueError, r"expected shape \(3, 5\), got \(2, 5\)"),
        (lambda d: d.astype(np.float32), TypeError, "dlogits are float32; expected .* float64"),
    ],
)
def test_refuses_gradients_that_do_not_fit(spoil, error, message):
    model, params, images, labels = case()
    logits, cache = model.forward(params, images)
    _, dlogits = minivit.cross_entropy(logits, labels)
    with pytest.raises(error, match=message):
        model.backward(params, spoil(dlogits), cache, params.zeros_like())


def test_numpy_numbers_serve_as_arguments_and_leak_no_dtype():
    sizes = {k: np.int64(v) for k, v in SMALL.items() if k != "image_size"}
    sizes |= dict(image_size=(np.int64(4), np.int64(6)), eps=np.float64(1e-6))
    sizes |= dict(dropout=np.float32(0.125), drop_path=np.float64(0.25))
    model = minivit.ViT(**sizes)
    expected = minivit.ViT(**SMALL, dropout=0.125, drop_path=0.25).config
    assert json.loads(json.dumps(model.config)) == expected
    params = minivit.Params(model.init(np.random.default_rng(0)))
    logits, cache = model.forward(params, np.ones((3, 4, 6, 3), np.float32))
    dimages = model.backward(params, logits + 1, cache, params.zeros_like())
    assert (logits.dtype, dimages.dtype) == (np.float32, np.float32)
