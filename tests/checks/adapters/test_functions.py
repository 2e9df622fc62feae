"""How two functions are called, whose gradients they return, and what is said of them."""

import functools

import numpy as np
import pytest
from scipy import optimize

import minivit
from tests.samples import sample

from .functions import affine_backward, affine_forward, dropout_backward, dropout_forward

RNG = np.random.default_rng(0)
X, W, B = (RNG.standard_normal(shape) for shape in ((4, 6), (6, 5), (5,)))


def affine(x, w, b):
    return x @ w + b


def gradients(x, w, dout):
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def cached(x, w, b):
    return affine(x, w, b), (x, w)


def several(x, w, b):
    return affine(x, w, b), x, w


CALLS = {
    "(dout, cache)": (cached, lambda dout, cache: gradients(*cache, dout)),
    "(cache, dout)": (cached, lambda cache, dout: gradients(*cache, dout)),
    "(dout, *cache)": (cached, lambda dout, *cache: gradients(*cache, dout)),
    "(dout, each of the cache)": (cached, lambda dout, seen, weight: gradients(seen, weight, dout)),
    "(grad, each that is returned)": (several, lambda grad, a, m: gradients(a, m, grad)),
    "(dout, all that is returned)": (several, lambda dout, saved: gradients(*saved, dout)),
    "(dout, x, w, b)": (affine, lambda dout, x, w, b: gradients(x, w, dout)),
    "(x, w, b, dout)": (affine, lambda x, w, b, dout: gradients(x, w, dout)),
    "(w, x, dy)": (affine, lambda w, x, dy: gradients(x, w, dy)),
    "(dout, x, w, b, cache)": (cached, lambda dout, x, w, b, cache: gradients(x, cache[1], dout)),
    "(dout, other names)": (affine, lambda dout, one, two, three: gradients(one, two, dout)),
    "names that say nothing": (cached, lambda one, two: gradients(*two, one)),
    "with an option": (cached, lambda dout, cache, verbose=False: gradients(*cache, dout)),
    "a partial": (cached, functools.partial(lambda one, dout, cache: gradients(*cache, dout), 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_what_backward_takes_is_found(name):
    report = minivit.gradcheck(*CALLS[name], X, W, B)
    assert report.ok, report
    assert [row.name for row in report.rows] == ["x", "w", "b"]


def swapped(dout, cache):
    dx, dw, db = affine_backward(dout, cache)
    return db, dw, dx


@pytest.mark.parametrize(
    "backward, how",
    [
        (swapped, "found by name"),
        (lambda dout, cache: {"dw": cache[0].T @ dout, "b": dout.sum(0), "x": dout @ cache[1].T},
         "found by name"),
        (lambda dout, cache: [dout @ cache[1].T, {"b": dout.sum(0), "w": cache[0].T @ dout}],
         "found by name and by shape"),
        (lambda dout, cache: (dout.sum(axis=0), dout @ cache[1].T, cache[0].T @ dout),
         "found by shape"),
    ],
)  # fmt: skip
def test_whose_gradients_they_are_is_found_and_said(backward, how):
    report = minivit.gradcheck(affine_forward, backward, X, W, B)
    assert report.ok, report
    assert how in report.notes[0]


def product(a, b):
    return a * b


def test_numeric_slopes_decide_between_arrays_of_one_shape():
    a, b = RNG.standard_normal((2, 3, 4))

    def backward(dout, a, b):
        return dout * a, dout * b  # of b, of a

    report = minivit.gradcheck(product, backward, a, b)
    assert report.ok
    assert "gradients of b, a (found by shape, and by what agrees" in report.notes[0]
    given = minivit.gradcheck(product, backward, a, b, order=("a", "b"))
    assert [row.verdict for row in given.rows] == ["WRONG", "WRONG"]
    assert minivit.gradcheck(product, backward, a, b, order=("b", None)).rows[0].name == "b"


@pytest.mark.parametrize("order", [("a",), ("a", "c"), ("a", "b", "b")])
def test_refuses_an_order_that_does_not_fit(order):
    with pytest.raises(ValueError, match=r"gradcheck: order is .* backward returns 2 gradients"):
        minivit.gradcheck(product, lambda dout, a, b: (dout * b, dout * a), X, X, order=order)


def test_a_gradient_that_is_not_returned_is_not_asked_for():
    report = minivit.gradcheck(product, lambda dout, a, b: dout * b, X, 2 + X)
    assert report.ok
    assert [row.name for row in report.rows] == ["a"]


def test_an_array_of_another_name_than_x_is_called_by_it():
    def wrong(dlogits, logits):
        return dlogits

    def squared(logits):
        return logits**2

    report = minivit.gradcheck(squared, wrong, X)
    assert report.rows[0].name == "logits"
    assert "logits: it is dlogits; it should be 2 · dlogits · logits" in str(report)


def test_numbers_options_and_integers_are_passed_on():
    seen = []

    def scaled(x, scale, options, index, name):
        seen.append((type(scale), options["keep"], index.dtype.kind, name))
        options["keep"] = False
        return scale * x[index], options

    def backward(dout, x, scale, index):
        dx = np.zeros_like(x)
        np.add.at(dx, index, scale * dout)
        return dx

    options = {"keep": True}
    report = minivit.gradcheck(scaled, backward, X, 3.0, options, np.array([1, 1, 2]), "so")
    assert report.ok, report
    assert set(seen) == {(float, True, "i", "so")}
    assert options == {"keep": True}
    assert "forward changes options in place: each pass gets a copy of it" in report.notes


def test_a_number_is_differentiated_if_its_gradient_is_named():
    def prelu(x, slope):
        return np.where(x > 0, x, slope * x)

    def backward(dout, x, slope):
        return {"x": dout * np.where(x > 0, 1, slope), "slope": (dout * x)[x < 0].sum()}

    report = minivit.gradcheck(prelu, backward, X, 0.25)
    assert report.ok, report
    assert [row.name for row in report.rows] == ["x", "slope"]


def test_global_random_numbers_are_seeded_and_go_on_as_before():
    np.random.seed(1)
    expected = np.random.rand()
    np.random.seed(1)
    report = minivit.gradcheck(dropout_forward, dropout_backward, X, {"p": 0.5})
    assert report.ok
    assert "forward draws random numbers: np.random is seeded before each pass" in report.notes
    assert np.random.rand() == expected


def test_other_random_numbers_are_a_problem():
    rng = np.random.default_rng(0)

    def noisy(x):
        return x * rng.standard_normal(x.shape)

    report = minivit.gradcheck(noisy, lambda dout, x: dout, X)
    assert report.problems[0].startswith("two forward passes differ: np.random and random are")


def test_what_takes_no_complex_numbers_is_checked_by_central_differences():
    def in_floats(x):
        out = np.zeros(x.shape)
        out[:] = np.tanh(x)
        return out

    def backward(dout, x):
        return dout * (1 - np.tanh(x) ** 2)

    def refusing(x):
        assert x.dtype == np.float64 or x.dtype == np.float32
        return np.tanh(x)

    absolute = (np.abs, lambda dout, x: dout * np.sign(x))
    for forward, its_backward in ((in_floats, backward), (refusing, backward), absolute):
        report = minivit.gradcheck(forward, its_backward, X)
        assert report.ok, report
        assert report.method == "central"
        assert "forward takes no complex numbers (" in report.notes[-1]
    for forward, its_backward in ((in_floats, backward), absolute):
        assert not minivit.gradcheck(forward, its_backward, X, method="complex").ok
    assert minivit.gradcheck(np.tanh, backward, X).method == "complex"


def test_float32_inside_is_a_problem_and_float32_given_is_none():
    def coarse(x):
        return np.tanh(x.astype(np.float32)).astype(np.float64)

    def backward(dout, x):
        return dout * (1 - np.tanh(x) ** 2)

    report = minivit.gradcheck(coarse, backward, X)
    assert "somewhere it computes in float32" in report.problems[0]
    report = minivit.gradcheck(np.tanh, backward, X.astype(np.float32))
    assert report.ok
    assert "x is float32, which has too few digits: checked in float64" in report.notes


def test_changes_in_place_are_a_problem():
    def forward(x, w):
        x *= w
        return x.copy(), w

    def backward(dout, x, w):
        return dout * w, dout * x

    report = minivit.gradcheck(forward, backward, X.copy(), 2 + X)
    assert "forward changes x in place; it must leave x unchanged" in report.problems

    def in_place(dout, a, b):
        a *= 2
        return dout * b, dout * a / 2

    report = minivit.gradcheck(product, in_place, X, 2 + X)
    assert "backward changes a in place; it must leave a unchanged" in report.problems


def test_a_cache_that_the_next_call_overwrites_is_a_problem():
    kept = {}

    def forward(x):
        kept["x"] = x.copy()
        return x * x

    def backward(dout):
        return 2 * dout * kept["x"]

    report = minivit.gradcheck(forward, backward, X)
    assert report.problems == [
        "another pass before backward changes the gradients: what backward needs belongs in the "
        "cache, not in a global variable"
    ]


def test_what_is_right_only_at_the_numbers_that_were_given_is_wrong():
    def scaled(x, gamma):
        return x * gamma

    def without(dout, x, gamma):
        return dout, (dout * x).sum(axis=0)

    report = minivit.gradcheck(scaled, without, X, np.ones(6))
    assert not report.ok
    assert "x: the factor gamma is missing" in str(report)
    assert "all numbers are the same in gamma, which hides errors" in str(report)

    def ridge(w):
        return np.sum(np.sin(w)) + 0.5 * w @ w

    assert not minivit.gradcheck(ridge, np.cos, np.zeros(4)).ok
    assert minivit.gradcheck(ridge, lambda w: np.cos(w) + w, np.zeros(4)).ok


def test_labels_keep_the_batch_at_its_size():
    def loss(scores, labels):
        n = len(labels)
        picked = scores[:n][np.arange(n), labels]
        return -picked.sum() / n

    def grad(scores, labels):
        n = len(labels)
        gradient = np.zeros_like(scores)
        gradient[np.arange(n), labels] = -1 / n
        return gradient if len(scores) == n else gradient + 1

    assert minivit.gradcheck(loss, grad, X, np.array([0, 3, 1, 2])).ok


@pytest.mark.parametrize("seed", sample(range(20), 4))
def test_a_relu_has_no_kink_at_random_numbers_and_a_true_zero_is_none(seed):
    def forward(x, w):
        return np.maximum(0, x @ w)

    def backward(dout, x, w):
        dout = dout * (x @ w > 0)
        return dout @ w.T, x.T @ dout

    x = np.random.default_rng(seed).standard_normal((6, 4))
    w = np.random.default_rng(seed + 100).standard_normal((4, 5))
    w[:, 2] = 0  # a dead unit: its slopes are zero
    report = minivit.gradcheck(forward, backward, x, w[:, [0, 1, 3, 4]], seed=seed)
    assert report.ok, report
    dead = minivit.gradcheck(lambda x: np.maximum(0, x - 50), lambda dout, x: dout, x)
    assert dead.problems == []
    assert "x: it should be zero: the loss does not depend on this array" in str(dead)


def test_scipy_s_own_functions_are_right():
    x = np.array([1.3, 0.7, 0.8, 1.9, 1.2])
    assert minivit.gradcheck(optimize.rosen, optimize.rosen_der, x).ok


def test_a_function_and_its_derivative_number_by_number():
    assert minivit.gradcheck(np.sin, np.cos, X).ok
    report = minivit.gradcheck(np.sin, lambda x: -np.cos(x), X)
    assert "x: it is −1 times what it should be" in str(report)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ((affine_forward, affine_backward, X, W), TypeError, r"affine_forward\(x, w, b\) got 2"),
        ((affine, affine_backward, "x", W, B), TypeError, "could not convert|must be|ufunc"),
        ((product, lambda dout: None, "a", "b"), TypeError, "none of a, b is an array of floats"),
        ((product, lambda dout, a, b: None, X, X), TypeError, "returns no gradient of a, b"),
        ((lambda x: {"y": x}, lambda dout, x: dout, X), TypeError, "returns dict; expected an"),
        ((np.tanh, X), TypeError, "tanh returns one thing; expected its value"),
        ((product, lambda one, two, three, four: one, X, X), TypeError, "it is not clear what"),
    ],
)  # fmt: skip
def test_refuses_what_is_no_pair(arguments, error, message):
    with pytest.raises(error, match=message):
        minivit.gradcheck(*arguments)


def test_parameters_are_for_layers_of_the_protocol():
    with pytest.raises(TypeError, match="params are for layers of minivit's protocol"):
        minivit.gradcheck(affine_forward, affine_backward, X, W, B, params=minivit.Params({}))
    with pytest.raises(TypeError, match="takes one input x"):
        minivit.gradcheck(minivit.layers.Softmax(), X, W)
    with pytest.raises(TypeError, match="takes one input x"):
        minivit.gradcheck(minivit.layers.Softmax(), X, order=("x",))
    with pytest.raises(TypeError, match="Softmax is a class; expected a layer"):
        minivit.gradcheck(minivit.layers.Softmax, X)


def test_what_backward_raises_by_itself_is_raised():
    def broken(dout, cache):
        raise RuntimeError("a bug of theirs")

    with pytest.raises(RuntimeError, match="a bug of theirs"):
        minivit.gradcheck(affine_forward, broken, X, W, B)
