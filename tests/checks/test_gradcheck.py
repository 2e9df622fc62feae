"""The checker is checked: it passes what is right and fails what is wrong, for the right reason."""

import functools
import itertools

import numpy as np
import pytest

import minivit
from minivit import layers
from minivit.checks.cases import CASES
from minivit.checks.faults import Fault, faults, planted
from minivit.checks.suite import check
from minivit.layers import MLP, Attention, LayerNorm, Linear, Softmax
from tests.samples import sample

FAULTS = [name for name, fault in faults().items() if fault.check in CASES]
X = np.random.default_rng(0).standard_normal((2, 7, 15))
DIAGONAL = """
-dscores = self.softmax.backward(datt, cache["softmax"])
+dscores = datt * att * (1 - att)
"""


def changed(layer, **methods):
    """The layer with some of its methods replaced; each gets the real one first."""
    real = {name: getattr(layer, name) for name in methods}
    for name, method in methods.items():
        setattr(layer, name, lambda *args, name=name, method=method: method(real[name], *args))
    return layer


def verdicts(report):
    return {row.name: row.verdict for row in report.rows}


LARGE = {"cnn", "decoder", "detector", "masked", "permutation", "reader"}  # models


class Function:
    """A layer without parameters, from a function and its derivative."""

    def __init__(self, f, df):
        self.f, self.df = f, df

    def forward(self, x):
        return self.f(x), {"x": x}

    def backward(self, dy, cache):
        return dy * self.df(cache["x"])


def ways():
    """Each layer, by the complex step in full and along a direction by differences; and the rest.

    tests/models go through every number of whole models, which are among the rest here.
    """
    for name in sorted(CASES.keys() - {"vit"}):  # slow; see below
        modes, methods, seeds = ["full", "directional"], ["complex", "central"], [0, 1]
        if name in LARGE:
            seeds = [0]
        for mode, method, seed in itertools.product(modes, methods, seeds):
            quick = (mode == "full") == (method == "complex")
            rare = not quick or name in LARGE or seed == 1
            marks = [pytest.mark.slow, pytest.mark.thorough] if rare else []
            yield pytest.param(name, mode, method, seed, marks=marks)


@pytest.mark.parametrize("name, mode, method, seed", list(ways()))
def test_every_layer_is_right(name, mode, method, seed):
    report = check(name, method=method, mode=mode, seed=seed)
    assert report.ok, report
    if (name, mode, method) != ("cnn", "directional", "central"):  # has slopes close to zero
        limit = {"complex": 1e-12, "central": 1e-7}[method]
        assert max(row.error for row in report.rows) <= limit


@pytest.mark.parametrize(
    "wrong, method, verdict",
    [
        (1 + 3e-13, "complex", "ok"),
        (1 + 3e-12, "complex", "WRONG"),
        (1 + 3e-8, "central", "ok"),
        (1 + 3e-6, "central", "WRONG"),
    ],
)
def test_the_tolerance_is_relative_to_the_largest_of_the_gradient(wrong, method, verdict):
    layer = Function(np.exp, lambda x: wrong * np.exp(x))
    (row,) = minivit.gradcheck(layer, X[0], method=method).rows
    assert row.verdict == verdict
    assert row.error == pytest.approx(wrong - 1, rel=0.2)


@pytest.mark.parametrize("size, verdict", [(1e-14, "structurally zero"), (1e-12, "WRONG")])
def test_what_is_below_the_rounding_of_the_pass_is_zero(size, verdict):
    layer = Function(lambda x: size * x, lambda x: 0 * x)
    assert verdicts(minivit.gradcheck(layer, X[0])) == {"x": verdict}


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
    assert "proj.w: it is right but for [2, 3]" in str(report)
    assert str(report).endswith("Not right: proj.w.")
    assert not report.ok


@pytest.mark.parametrize("method", ["complex", "central"])
@pytest.mark.parametrize("name", sample(FAULTS, 6))
def test_a_wrong_gradient_is_seen_along_random_directions_too(name, method):
    with planted(faults()[name]):
        assert not check(faults()[name].check, method=method, mode="directional").ok


@pytest.mark.parametrize("mode", ["full", "directional"])
def test_only_the_arrays_with_a_wrong_gradient_are_named(mode):
    def backward(real, params, dy, cache, grads):
        return real(params, dy, cache | {"q": 2 * cache["q"]}, grads)

    report = minivit.gradcheck(changed(Attention(6, 2), backward=backward), X[..., :6], mode=mode)
    # The bias of the keys stays right: its gradient is zero, whatever the scale.
    wrong = {name for name, verdict in verdicts(report).items() if verdict == "WRONG"}
    assert wrong == {"x", "qkv.w"}


@pytest.mark.parametrize(
    "change, expected, seed",
    [
        ("-xp.matmul(dscores.mT, q, out=dk)\n+xp.matmul(dscores, q, out=dk)", "k", 7),
        ("-xp.matmul(dscores.mT, q, out=dk)\n+xp.matmul(dscores, q, out=dk)", "k", 10),
        (DIAGONAL, "q and k", 17),
        (DIAGONAL, "q and k", 36),
    ],
)
def test_rounding_where_the_slope_is_zero_is_no_kink(change, expected, seed):
    """The bias of the keys has no gradient; differences of the loss there are rounding alone."""
    fault = Fault("odd", "", "", "", "", {"layers.attention.Attention.backward": change})
    x = np.random.default_rng(seed).standard_normal((2, 5, 6))
    with planted(fault):
        report = minivit.gradcheck(Attention(6, 2), x, seed=seed)
    assert report.problems == []
    assert verdicts(report)["qkv.b"] == "WRONG"
    assert f"which belong to {expected}" in str(report)


@pytest.mark.parametrize(
    "method, verdict", [("complex", "structurally zero"), ("central", "too coarse")]
)
def test_a_gradient_that_is_zero_at_a_stationary_point_is_not_wrong(method, verdict):
    steep = Function(lambda x: 1e20 * x**3, lambda x: 3e20 * x**2)  # its numeric slope is 1e20 h²
    report = minivit.gradcheck(steep, np.zeros((2, 3)), method=method)
    assert verdicts(report) == {"x": verdict}, report


def test_the_top_of_a_curve_is_no_kink():
    x = np.array([0.1, 0.4, 0.7, 1.1, np.pi / 2 + 1e-7])
    layer = Function(np.sin, lambda x: np.cos(x) + (x > 1.5))
    report = minivit.gradcheck(layer, x)
    assert verdicts(report) == {"x": "WRONG"}
    assert report.problems == []


def test_the_smallest_layer_that_is_wrong_on_its_own_is_named():
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
        assert "blocks.1.attn.softmax is wrong on its own: x: it is 3 times" in str(report)
    assert not any(row.cause for row in report.rows)  # they are wrong for that reason alone


def test_what_a_layer_inside_does_wrong_is_named_with_its_place():
    class Assigns(Linear):
        def backward(self, params, dy, cache, grads):
            grads["w"][...] = 0
            return super().backward(params, dy, cache, grads)

    layer = MLP(5, 7)
    layer.fc1 = Assigns(5, 7)
    report = minivit.gradcheck(layer, X[..., :5])
    assert "fc1 is wrong on its own: backward assigns grads 'w'" in str(report)


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


def test_central_differences_of_a_huge_loss_are_a_problem():
    layer, x = Function(lambda x: x + 1e9, np.ones_like), X[0]
    report = minivit.gradcheck(layer, x, method="central")
    assert "central differences in x are off, by rounding" in report.problems[0]
    assert verdicts(report) == {"x": "too coarse"}
    assert not report.ok
    assert minivit.gradcheck(layer, x).ok


def test_central_differences_take_steps_that_fit_large_inputs():
    layer, x = Linear(5, 3), 1e9 + X[0, :, :5]
    assert minivit.gradcheck(layer, x, method="central").ok


def test_a_wrong_loss_is_named():
    def loss(y):
        value, dy = minivit.cross_entropy(y, [0, 2])
        return value, -dy

    report = minivit.gradcheck(Linear(5, 3), X[0, :2, :5], loss=loss)
    assert "loss is wrong on its own: x: it is −1 times" in str(report)


def test_a_sample_and_directions_are_explained_as_far_as_they_go():
    layer = changed(Linear(7, 5), backward=lambda real, *rest: 2 * real(*rest))
    for options in (dict(entries=6), dict(mode="directional")):
        report = minivit.gradcheck(layer, X[..., :7], **options)
        assert "x: it is 2 or B = 2 times what it should be" in str(report)


def test_a_gradient_of_another_shape_is_named():
    layer = changed(LayerNorm(5), backward=lambda real, *rest: real(*rest)[0])
    report = minivit.gradcheck(layer, X[0, :, :5])
    assert report.problems == ["the gradient of x has shape (5,), but x has shape (7, 5)"]


def test_what_makes_a_comparison_worthless_is_told_apart():
    x, rng = X[0], np.random.default_rng(0)
    absolute = minivit.gradcheck(Function(np.abs, np.sign), x)
    assert verdicts(absolute) == {"x": "not analytic"}
    assert 'use method="central"' in absolute.problems[0]
    assert minivit.gradcheck(Function(np.abs, np.sign), x, method="central").ok
    cast = minivit.gradcheck(Function(lambda x: x.astype(np.float64) * 2, lambda x: 2), x)
    assert verdicts(cast) == {"x": "unknown"}
    assert "forward or loss is not analytic" in cast.problems[0]

    at_kink = np.zeros(3)
    exactly = minivit.gradcheck(Function(lambda x: (x + np.abs(x)) / 2, np.sign), at_kink)
    assert verdicts(exactly) == {"x": "a kink"}
    assert "check at another x" in exactly.problems[0]
    kink = minivit.gradcheck(Function(np.abs, np.sign), at_kink + 1e-9, method="central")
    assert verdicts(kink) == {"x": "a kink"}

    noisy = Function(lambda x: x + rng.standard_normal(x.shape), np.ones_like)
    assert minivit.gradcheck(noisy, x).problems == [
        "two forward passes differ: draw random numbers from an argument rng only"
    ]
    coarse = Function(lambda x: x.astype(np.float32), np.ones_like)
    assert "forward returns float32 for float64" in minivit.gradcheck(coarse, x).problems[0]
    endless = Function(lambda x: x / np.zeros(1), np.ones_like)
    with np.errstate(divide="ignore"):
        assert "numbers that are not finite" in minivit.gradcheck(endless, x).problems[0]


def test_what_hides_errors_is_noted():
    x = X[0, :, :5]
    layer = Linear(5, 3)
    report = minivit.gradcheck(layer, x.astype(np.float32), loss=lambda y: (y.sum(), 0 * y + 1))
    assert report.ok
    assert report.notes == [
        "x is float32, which has too few digits: checked in float64",
        "dy is constant, which hides errors in softmax and layer norm",
    ]
    params = minivit.Params(layer.init(np.random.default_rng(0)))
    report = minivit.gradcheck(layer, x, params=params)
    assert report.notes == ["constant parameters hide errors: b"]


def test_a_true_zero_is_structurally_zero():
    report = minivit.gradcheck(Softmax(), X[0], loss=lambda y: (y.sum(), np.ones_like(y)))
    assert verdicts(report) == {"x": "structurally zero"}
    assert report.ok


def test_large_arrays_are_sampled_and_it_says_so():
    report = minivit.gradcheck(Linear(40, 30), np.ones((2, 40)), entries=50)
    assert {row.name: row.checked for row in report.rows} == {"x": 50, "w": 50, "b": 30}
    assert report.notes == ["only 50 random entries were checked of: x, w"]


def test_the_arguments_stay_unchanged():
    layer, x = Linear(5, 3), X[0, :, :5].copy()
    params = minivit.Params(layer.init(np.random.default_rng(0)))
    before = params.flat.copy(), x.copy()
    for method in ("complex", "central"):
        minivit.gradcheck(layer, x, params=params, method=method)
    np.testing.assert_array_equal(params.flat, before[0])
    np.testing.assert_array_equal(x, before[1])


@pytest.mark.parametrize("options", [dict(method="numeric"), dict(mode="fast"), dict(entries=0)])
def test_refuses_unknown_methods_and_modes(options):
    with pytest.raises(ValueError, match="gradcheck: method must be"):
        minivit.gradcheck(Softmax(), X, **options)


@pytest.mark.parametrize(
    "loss, message",
    [
        (lambda y: y.sum(), "loss must return two things, .*; got -?[0-9]"),
        (lambda y: (y.sum(), y[0]), r"a gradient dy of shape \(7, 15\); got \[\(\), \(15,\)\]"),
    ],
)
def test_refuses_a_loss_without_a_gradient(loss, message):
    with pytest.raises(TypeError, match=message):
        minivit.gradcheck(Softmax(), X[0], loss=loss)


@pytest.mark.parametrize("seed", sample(range(20), 20))
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


@pytest.mark.parametrize("seed", [0, 3])
def test_an_input_drawn_with_the_seed_of_the_check_is_not_dy_again(seed):
    class Squared:
        """y = ½ x², with a backward that takes x for dy."""

        def forward(self, x):
            return x * x / 2, {"x": x}

        def backward(self, dy, cache):
            return cache["x"] * cache["x"]

    x = np.random.default_rng(seed).standard_normal((3, 4))
    assert not minivit.gradcheck(Squared(), x, seed=seed).ok


@pytest.mark.parametrize(
    "wrong, where",
    [
        (lambda x: np.abs(x).max() > 5, "where |x| goes up to 30"),
        (lambda x: len(x) > 4, "for 65 images or rows"),
        (lambda x: x.shape[1] > 8, "for 16 tokens"),
    ],
)
def test_what_is_right_at_x_alone_is_found_at_other_inputs(wrong, where):
    class Sometimes(Function):
        def backward(self, dy, cache):
            return super().backward(dy, cache) * (2 if wrong(cache["x"]) else 1)

    report = minivit.gradcheck(Sometimes(lambda x: x * x, lambda x: 2 * x), X)
    assert not report.ok
    assert report.notes[-1] == f"it is right at the x that was given, but not {where}"
    assert " 2 " in report.rows[0].cause
    assert report.rows[0].cause.endswith("times what it should be, in every entry")


def test_an_input_that_the_layer_does_not_take_is_no_fault_of_it():
    class Picky(Function):
        def forward(self, x):
            if x.shape != X.shape or np.abs(x).max() > 5:
                raise RuntimeError("not so")
            return super().forward(x)

    assert minivit.gradcheck(Picky(lambda x: x * x, lambda x: 2 * x), X).ok


def test_a_cause_that_does_not_hold_at_other_numbers_is_not_said():
    def df(x):  # wrong in the rows whose first number is positive: which rows, the numbers decide
        return 2 * x * np.where(x[..., :1] > 0, 3, 1)

    class Rows(Function):
        def backward(self, dy, cache):
            return dy * self.df(cache["x"])

    report = minivit.gradcheck(Rows(lambda x: x * x, df), X)
    assert "slices" not in str(report)


def test_a_factor_that_the_numbers_decide_is_not_said():
    layer = Function(lambda x: x * x, lambda x: 2 * x * (1 + np.abs(x).mean()))
    report = minivit.gradcheck(layer, X)
    assert not report.ok
    assert "times what it should be" not in str(report)


def test_where_a_gradient_is_wrong_is_said_if_a_number_tells():
    layer = Function(lambda x: x * x, lambda x: 2 * np.clip(x, -9, 1))
    report = minivit.gradcheck(layer, X)
    assert report.rows[0].cause.startswith("it is right where x ≤ 0.9")
