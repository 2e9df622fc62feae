"""The checker is checked: it passes what is right and fails what is wrong, for the right reason."""

import functools
import math

import numpy as np
import pytest

import minivit
from minivit import layers
from minivit.layers import GELU, MLP, Attention, LayerNorm, Linear, Softmax
from tests.layers.cases import CASES

X = np.random.default_rng(0).standard_normal((2, 7, 15))


def changed(layer, **methods):
    """The layer with some of its methods replaced; each gets the real one first."""
    real = {name: getattr(layer, name) for name in methods}
    for name, method in methods.items():
        setattr(layer, name, lambda *args, name=name, method=method: method(real[name], *args))
    return layer


def verdicts(report):
    return {row.name: row.verdict for row in report.rows}


@pytest.mark.parametrize("method", ["complex", "central"])
@pytest.mark.parametrize("mode", ["full", "directional"])
@pytest.mark.parametrize("name", CASES)
def test_every_layer_is_right(name, mode, method):
    layer, shape, _ = CASES[name]
    for seed in range(3):
        x = np.random.default_rng(seed).standard_normal(shape)
        report = minivit.gradcheck(layer, x, method=method, mode=mode, seed=seed)
        assert report.ok, report
        assert max(row.error for row in report.rows) <= {"complex": 1e-12, "central": 1e-7}[method]


def test_a_model_with_its_loss_is_right():
    rng = np.random.default_rng(0)
    model = minivit.ViT(
        image_size=(4, 6), patch_size=2, channels=3, dim=6, depth=2, heads=2, mlp_dim=5, classes=3
    )
    report = minivit.gradcheck(
        model, rng.standard_normal((3, 4, 6, 3)), loss=lambda y: minivit.cross_entropy(y, [0, 2, 1])
    )
    assert report.ok, report
    assert [row.name for row in report.rows[:2]] == ["x", "patches.w"]
    assert str(report).splitlines()[-1] == "All 32 gradients agree (complex, full)."


def test_the_table_names_the_place_and_both_values():
    def backward(real, params, dy, cache, grads):
        dx = real(params, dy, cache, grads)
        grads["proj"]["w"][2, 3] += 0.25
        return dx

    report = minivit.gradcheck(changed(Attention(15, 3), backward=backward), X)
    (row,) = [row for row in report.rows if not row.ok]
    assert (row.name, row.shape, row.index, row.verdict) == ("proj.w", (15, 15), (2, 3), "WRONG")
    assert row.analytic - row.numeric == pytest.approx(0.25)
    assert row.checked == 225
    (line,) = [line for line in str(report).splitlines() if line.startswith("proj.w ")]
    assert line.split() == [
        "proj.w", "(15,", "15)", f"{row.error:.1e}", "[2,", "3]", f"{row.analytic:.6g}",
        f"{row.numeric:.6g}", "WRONG",
    ]  # fmt: skip
    assert "proj.w: only 14 of 15 slices along axis 0 are right; wrong are [2]" in str(report)
    assert str(report).endswith("Not right: proj.w.")
    assert not report.ok


WRONG = {
    "dw transposed": (
        Linear(7, 7), (3, 7), {"w"},
        lambda real, p, dy, c, g: [real(p, dy, c, g), g["w"].__setitem__(..., g["w"].T.copy())][0],
    ),
    # The bias of the keys stays right: its gradient is zero, whatever the scale.
    "keys twice too large": (
        Attention(6, 2), (2, 5, 6), {"x", "qkv.w"},
        lambda real, p, dy, c, g: real(p, dy, c | {"q": 2 * c["q"]}, g),
    ),
    "divided by the batch": (
        LayerNorm(5), (3, 5), {"x"}, lambda real, p, dy, c, g: real(p, dy, c, g) / 3,
    ),
    "not through the mean": (
        LayerNorm(5), (3, 5), {"x"},
        lambda real, p, dy, c, g: [real(p, dy, c, g), dy * p["w"] * c["rstd"]][1],
    ),
    "softmax taken for the identity": (
        Softmax(), (3, 5), {"x"}, lambda real, dy, c: dy * c["y"],
    ),
    "the slope at another point": (
        GELU(), (3, 5), {"x"}, lambda real, dy, c: real(dy, c | {"x": c["x"] + 1e-9}),
    ),
    "no gradient at all": (
        MLP(5, 7), (3, 5), {"x", "fc1.w", "fc1.b", "fc2.w", "fc2.b"},
        lambda real, p, dy, c, g: 0 * dy,
    ),
}  # fmt: skip


@pytest.mark.parametrize("mode", ["full", "directional"])
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_gradient_is_found_in_its_arrays(name, mode):
    layer, shape, expected, backward = WRONG[name]
    layer = changed(type(layer)(*arguments(layer)), backward=backward)
    x = np.random.default_rng(1).standard_normal(shape)
    report = minivit.gradcheck(layer, x, mode=mode)
    assert {name for name, verdict in verdicts(report).items() if verdict == "WRONG"} == expected
    assert not report.ok


def arguments(layer):
    return {
        Linear: lambda: (layer.d_in, layer.d_out),
        Attention: lambda: (layer.dim, layer.heads),
        LayerNorm: lambda: (layer.dim,),
        MLP: lambda: (layer.fc1.d_in, layer.fc1.d_out),
    }.get(type(layer), tuple)()


def test_what_is_assigned_and_not_added_is_named():
    def backward(real, params, dy, cache, grads):
        grads["b"][...] = 0
        return real(params, dy, cache, grads)

    report = minivit.gradcheck(changed(Linear(5, 3), backward=backward), X[0, :, :5])
    assert report.problems == ["grads 'b' is assigned; backward must add to it, with +="]
    assert not report.ok


def test_a_model_of_a_million_parameters_can_be_checked_along_directions():
    model = minivit.ViT(
        image_size=28, patch_size=7, channels=1, dim=144, depth=4, heads=4, mlp_dim=576, classes=10
    )
    images = np.random.default_rng(0).standard_normal((2, 28, 28, 1))
    loss = functools.partial(minivit.cross_entropy, labels=[3, 8])
    report = minivit.gradcheck(model, images, loss=loss, mode="directional")
    assert sum(math.prod(row.shape) for row in report.rows[1:]) > 1_000_000
    assert report.ok, report


def test_the_smallest_layer_that_is_wrong_by_itself_is_named():
    model = minivit.ViT(
        image_size=4, patch_size=2, channels=1, dim=6, depth=2, heads=2, mlp_dim=5, classes=3
    )
    softmax = model.blocks[1].attn.softmax
    changed(softmax, backward=lambda real, *rest: 3 * real(*rest))
    for mode in ("full", "directional"):
        report = minivit.gradcheck(
            model, np.ones((2, 4, 4, 1)) * np.arange(4.0)[:, None], mode=mode
        )
        assert list(report.culprits) == ["blocks.1.attn.softmax"]
        assert "blocks.1.attn.softmax, wrong by itself: x: it is 3 times" in str(report)
    assert not any(row.cause for row in report.rows)  # they are wrong for that reason alone


def test_what_a_layer_inside_does_wrong_is_named_with_its_place():
    class OnSelf(Linear):
        def forward(self, params, x):
            self.x = x
            return super().forward(params, x)

        def backward(self, params, dy, cache, grads):
            return super().backward(params, dy, {"x": self.x}, grads)

    layer = MLP(5, 7)
    layer.fc1 = OnSelf(5, 7)
    report = minivit.gradcheck(layer, X[..., :5])
    assert "fc1, wrong by itself: another forward pass before backward changes" in str(report)


def test_a_layer_with_a_second_input_is_left_out_of_the_search():
    class Product:
        def forward(self, x, other):
            return x * other, {"x": x, "other": other}

        def backward(self, dy, cache):
            return 2 * dy * cache["other"], dy * cache["x"]

    class Square:
        def __init__(self):
            self.product = Product()

        def forward(self, x):
            return self.product.forward(x, x)

        def backward(self, dy, cache):
            return sum(self.product.backward(dy, cache))

    report = minivit.gradcheck(Square(), X)
    assert report.culprits == {}
    assert report.rows[0].verdict == "WRONG"


def test_central_differences_of_a_huge_loss_are_said_to_be_worthless():
    layer, x = Linear(5, 3), 1e9 + X[0, :, :5]
    report = minivit.gradcheck(layer, x, method="central")
    assert "so that its differences are rounded to" in report.problems[0]
    assert not report.ok
    assert minivit.gradcheck(layer, x).ok


def test_a_small_gradient_that_is_wrong_is_not_taken_for_zero():
    class Gain:
        def init(self, rng, dtype):
            return {"gain": np.ones(3, dtype)}

        def forward(self, params, x):
            return x + 1e-10 * params["gain"], {}

        def backward(self, params, dy, cache, grads):
            grads["gain"] += 2e-10 * dy.sum(axis=0)
            return dy.copy()

    report = minivit.gradcheck(Gain(), X[0, :, :3])
    assert verdicts(report) == {"x": "ok", "gain": "WRONG"}


def test_a_wrong_loss_is_named():
    def loss(y):
        value, dy = minivit.cross_entropy(y, [0, 2])
        return value, -dy

    report = minivit.gradcheck(Linear(5, 3), X[0, :2, :5], loss=loss)
    assert "loss, wrong by itself: x: it is −1 times" in str(report)


def test_a_sample_and_directions_are_explained_as_far_as_they_go():
    layer = changed(Linear(7, 5), backward=lambda real, *rest: 2 * real(*rest))
    for options in (dict(entries=6), dict(mode="directional")):
        report = minivit.gradcheck(layer, X[..., :7], **options)
        assert "x: it is 2 or B = 2 times what it should be" in str(report)


def test_a_gradient_of_another_shape_is_named():
    layer = changed(LayerNorm(5), backward=lambda real, *rest: real(*rest)[0])
    report = minivit.gradcheck(layer, X[0, :, :5])
    assert report.problems == ["the gradient of x is (5,), but x is (7, 5)"]


class Function:
    """A layer without parameters, from a function and its derivative."""

    def __init__(self, f, df):
        self.f, self.df = f, df

    def init(self, rng, dtype=None):
        return {}

    def forward(self, params, x):
        return self.f(x), {"x": x}

    def backward(self, params, dy, cache, grads):
        return dy * self.df(cache["x"])


def test_what_makes_a_comparison_worthless_is_told_apart():
    x, rng = X[0], np.random.default_rng(0)
    absolute = minivit.gradcheck(Function(np.abs, np.sign), x)
    assert verdicts(absolute) == {"x": "not analytic"}
    assert 'use method="central"' in absolute.problems[0]
    assert minivit.gradcheck(Function(np.abs, np.sign), x, method="central").ok
    cast = Function(lambda x: x.astype(np.float64) * 2, lambda x: 2)
    assert "forward or loss is not analytic" in minivit.gradcheck(cast, x).problems[0]

    at_kink = np.zeros(3)
    exactly = minivit.gradcheck(Function(lambda x: (x + np.abs(x)) / 2, np.sign), at_kink)
    assert verdicts(exactly) == {"x": "a kink"}
    assert "check at another x" in exactly.problems[0]
    kink = minivit.gradcheck(Function(np.abs, np.sign), at_kink + 1e-9, method="central")
    assert verdicts(kink) == {"x": "a kink"}

    noisy = Function(lambda x: x + rng.standard_normal(x.shape), np.ones_like)
    assert minivit.gradcheck(noisy, x).problems == [
        "two forward passes differ: fix what is random to compare them"
    ]
    coarse = Function(lambda x: x.astype(np.float32), np.ones_like)
    assert "forward makes float32 of float64" in minivit.gradcheck(coarse, x).problems[0]
    endless = Function(lambda x: x / np.zeros(1), np.ones_like)
    with np.errstate(divide="ignore"):
        assert "numbers that are not finite" in minivit.gradcheck(endless, x).problems[0]


def test_what_hides_errors_is_noted():
    x = X[0, :, :5]
    layer = Linear(5, 3)
    report = minivit.gradcheck(layer, x.astype(np.float32), loss=lambda y: (y.sum(), 0 * y + 1))
    assert report.ok
    assert [note.split()[0] for note in report.notes] == ["x", "dy"]
    params = minivit.Params(layer.init(np.random.default_rng(0)))
    report = minivit.gradcheck(layer, x, params=params)
    assert report.notes == ["the same number everywhere, which hides errors behind it: b"]


def test_a_true_zero_is_structurally_zero():
    report = minivit.gradcheck(Softmax(), X[0], loss=lambda y: (y.sum(), np.ones_like(y)))
    assert verdicts(report) == {"x": "structurally zero"}
    assert report.ok


def test_large_arrays_are_sampled_and_it_says_so():
    report = minivit.gradcheck(Linear(40, 30), np.ones((2, 40)), entries=50)
    assert {row.name: row.checked for row in report.rows} == {"x": 50, "w": 50, "b": 30}
    assert report.notes == ["only 50 entries were drawn of: x, w"]


def test_nothing_handed_in_is_changed():
    layer, x = Linear(5, 3), X[0, :, :5].copy()
    params = minivit.Params(layer.init(np.random.default_rng(0)))
    kept = params.flat.copy(), x.copy()
    for method in ("complex", "central"):
        minivit.gradcheck(layer, x, params=params, method=method)
    np.testing.assert_array_equal(params.flat, kept[0])
    np.testing.assert_array_equal(x, kept[1])


@pytest.mark.parametrize("options", [dict(method="numeric"), dict(mode="fast"), dict(entries=0)])
def test_refuses_methods_and_modes_that_it_has_not(options):
    with pytest.raises(ValueError, match="gradcheck: method must be"):
        minivit.gradcheck(Softmax(), X, **options)


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 50))]
)
def test_random_shapes_raise_no_false_alarm(seed):
    rng = np.random.default_rng(seed)
    B, T, heads, width, F = (int(n) for n in rng.integers((1, 1, 1, 2, 1), (4, 7, 4, 5, 9)))
    P, C, K = (int(n) for n in rng.integers((1, 1, 2), (3, 4, 6)))
    height, width_of_image = P * int(rng.integers(1, 4)), P * int(rng.integers(2, 4))
    D = 2 * heads * width
    pool = ["mean", "cls"][seed % 2]
    model = minivit.ViT(
        image_size=(height, width_of_image), patch_size=P, channels=C, dim=D, depth=2, heads=heads,
        mlp_dim=F, classes=K, pool=pool, dropout=0.1, drop_path=0.1,
    )  # fmt: skip
    tokens, image = (B, T, D), (B, height, width_of_image, C)
    labels = rng.integers(0, K, B)
    cases = [
        *((layer, tokens, None) for layer in (
            layers.Linear(D, F), layers.GELU(), layers.MLP(D, F), layers.LayerNorm(D),
            layers.Softmax(), layers.Attention(D, heads), layers.Dropout(0.3, 0.2),
            layers.PreNormBlock(D, heads, F), layers.ClassToken(D), layers.Positions(T, D),
            layers.MeanPool(), layers.FirstToken(),
        )),
        (layers.Patches(height, width_of_image, P, C, D), image, None),
        (model, image, functools.partial(minivit.cross_entropy, labels=labels)),
    ]  # fmt: skip
    for layer, shape, loss in cases:
        x = rng.standard_normal(shape)
        for method, tolerance in {"complex": 1e-12, "central": 1e-7}.items():
            report = minivit.gradcheck(layer, x, loss=loss, method=method, seed=seed, entries=40)
            assert report.ok, report
            errors = [row.error for row in report.rows if row.verdict == "ok"]
            assert max(errors, default=0) <= tolerance, report
    assert minivit.structure(model, seed).ok
