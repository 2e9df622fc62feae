"""Objects that keep their state: what is found on them, how, and that it is put back."""

import copy

import numpy as np
import pytest

import minivit

from .changing import changed
from .stateful import (
    MLP,
    Affine,
    BatchNorm,
    Dense,
    DrawingDropout,
    Linear,
    ParameterLinear,
    ReLU,
    Returns,
    Sequential,
    Sigmoid,
)  # fmt: skip

RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 4))
PAIRS = [
    ("w", "dw"), ("W", "dW"), ("W", "grad_W"), ("W", "W_grad"), ("weights", "grad_weights"),
    ("weights", "dweights"), ("weights", "dW"), ("weight", "weight_grad"), ("weight", "grad_w"),
    ("kernel", "dkernel"), ("gamma", "dgamma"), ("_w", "_dw"), ("w1", "d_w1"), ("w", "gw"),
    ("w", "delta_w"), ("W", "dL_dW"), ("W", "gradient_W"), ("w", "nabla_w"), ("theta", "theta_g"),
]  # fmt: skip


class Scale:
    """x · w, with the two arrays under any names."""

    def __init__(self, name, gradient):
        self.name, self.gradient = name, gradient
        setattr(self, name, RNG.standard_normal(4))

    def forward(self, x):
        self.seen = x
        return x * getattr(self, self.name)

    def backward(self, dy):
        setattr(self, self.gradient, (dy * self.seen).sum(axis=0))
        return dy * getattr(self, self.name)


@pytest.mark.parametrize("name, gradient", PAIRS)
def test_pairs_of_names_are_found(name, gradient):
    report = minivit.gradcheck(Scale(name, gradient), X)
    assert report.ok, report
    assert [row.name for row in report.rows] == ["x", name]
    assert report.notes[0] == f"found on Scale: {name} with its gradient {gradient}"


@pytest.mark.parametrize(
    "layer, names, found",
    [
        (Affine(X[:4].T.copy(), X[0, :4].copy()), ["x", "params.0", "params.1"], "params.0 with"),
        (ParameterLinear(4, 3), ["x", "weight", "bias"], "weight with its gradient weight.grad"),
        (MLP(4, 6, 3), ["x", "fc1.w", "fc1.b", "fc2.w", "fc2.b"], "fc2.b with its gradient fc2.db"),
        (Sequential(Dense(4, 3), ReLU()), ["x", "w", "b"], "w with its gradient layers.0.dw"),
        (Returns(4, 3), ["x", "W", "b"], "Returns.backward returns the gradients of x, W, b"),
    ],
)
def test_what_is_found_is_said(layer, names, found):
    report = minivit.gradcheck(layer, X)
    assert report.ok, report
    assert [row.name for row in report.rows] == names
    assert found in report.notes[0]


def test_whether_backward_assigns_or_adds_is_said():
    assigned = minivit.gradcheck(Dense(4, 3), X).notes
    assert "gradients that the object keeps: backward assigns those of w, b" in assigned
    added = minivit.gradcheck(Linear(4, 3), X).notes
    assert "gradients that the object keeps: backward adds to those of W, bias" in added
    neither = changed(Linear, "self.grad_W +=", "self.grad_W = 0.5 * self.grad_W +")
    (problem,) = minivit.gradcheck(neither(4, 3), X).problems
    assert problem == "what backward does to the gradient of W depends on what is in it"


def test_old_gradients_do_not_matter():
    layer = Linear(4, 3)
    layer.forward(X)
    layer.backward(np.ones((5, 3)))
    assert minivit.gradcheck(layer, X).ok


@pytest.mark.parametrize("make", [lambda: MLP(4, 6, 3), lambda: BatchNorm(4), lambda: Linear(4, 3)])
def test_the_object_is_put_back(make):
    layer = make()
    before, kept = copy.deepcopy(layer), dict(vars(layer))
    minivit.gradcheck(layer, X)
    assert vars(layer).keys() == kept.keys()
    assert all(vars(layer)[name] is value for name, value in kept.items())
    for path, array in arrays_in(layer):
        np.testing.assert_array_equal(array, dict(arrays_in(before))[path])


def arrays_in(value, path=""):
    for name, part in vars(value).items():
        if isinstance(part, np.ndarray):
            yield f"{path}{name}", part
        elif hasattr(part, "__dict__"):
            yield from arrays_in(part, f"{path}{name}.")


def test_the_object_is_put_back_after_an_error():
    class Broken(Dense):
        def backward(self, dout):
            raise RuntimeError("a bug of theirs")

    layer = Broken(4, 3)
    with pytest.raises(RuntimeError, match="a bug of theirs"):
        minivit.gradcheck(layer, X)
    assert vars(layer).keys() == {"w", "b"}


def test_one_array_in_two_places_is_one_parameter():
    class Net:
        def __init__(self):
            self.affine = Dense(4, 3)
            self.params = {"W1": self.affine.w, "b1": self.affine.b}

        def forward(self, x):
            return self.affine.forward(x) + 0 * self.params["W1"].sum()

        def backward(self, dout):
            return self.affine.backward(dout)

    report = minivit.gradcheck(Net(), X)
    assert report.ok, report
    assert [row.name for row in report.rows] == ["x", "w", "b"]


def test_random_numbers_of_an_object_are_the_same_in_every_pass():
    layer = DrawingDropout(0.5)
    state = copy.deepcopy(layer.rng.bit_generator.state)
    assert minivit.gradcheck(layer, X).ok
    assert layer.rng.bit_generator.state == state


def test_two_methods_of_an_object_are_the_object():
    layer = Linear(4, 3)
    report = minivit.gradcheck(layer.forward, layer.backward, X)
    assert report.ok, report
    assert [row.name for row in report.rows] == ["x", "W", "bias"]


def test_methods_that_hand_on_a_cache_and_return_all_gradients():
    class Linear:
        def __init__(self):
            self.W, self.b = RNG.standard_normal((4, 3)), np.zeros(3)

        def forward(self, x):
            return x @ self.W + self.b, x

        def backward(self, dout, cache):
            grads = {"W": cache.T @ dout, "b": dout.sum(axis=0)}
            return dout @ self.W.T, grads

    layer = Linear()
    report = minivit.gradcheck(layer.forward, layer.backward, X)
    assert report.ok, report
    assert [row.name for row in report.rows] == ["x", "W", "b"]


def test_another_pass_before_backward_is_their_own_affair():
    assert minivit.gradcheck(Dense(4, 3), X).problems == []


def test_a_parameter_without_a_gradient_is_noted():
    forgets = changed(Dense, "self.db = dout.sum(axis=0)", "pass")
    report = minivit.gradcheck(forgets(4, 3), X)
    assert report.notes[-1] == "no gradient was found of: b"


def test_the_layer_inside_that_is_wrong_is_named():
    layer = MLP(4, 6, 3)
    layer.act = changed(Sigmoid, "(1 - self.out)", "(1 + self.out)")()
    report = minivit.gradcheck(layer, X)
    assert list(report.culprits) == ["act"]
    assert "act is wrong on its own: x: it is dout · out" in str(report) or report.culprits["act"]


def test_float32_weights_are_checked_in_float64():
    layer = Linear(4, 3)
    layer.W, layer.bias = layer.W.astype(np.float32), layer.bias.astype(np.float32)
    report = minivit.gradcheck(layer, X.astype(np.float32))
    assert report.ok, report
    assert layer.W.dtype == np.float32
