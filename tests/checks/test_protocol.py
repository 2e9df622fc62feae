"""What a layer may not do; more of it is in the catalogue, see test_faults.py."""

import numpy as np
import pytest

import minivit
from minivit.checks.inside import Loss
from minivit.layers import Dropout, LayerNorm, Linear, Softmax

X = np.random.default_rng(0).standard_normal((3, 2, 5))


class ChangesParams(Linear):
    def forward(self, params, x):
        params["w"] *= 1.0 + 1e-6
        return super().forward(params, x)


class ChangesParamsInBackward(Linear):
    def backward(self, params, dy, cache, grads):
        dx = super().backward(params, dy, cache, grads)
        params["b"] -= 0.1 * grads["b"]
        return dx


class ChangesTheCache(Linear):
    def backward(self, params, dy, cache, grads):
        dx = super().backward(params, dy, cache, grads)
        cache["x"] = 0 * cache["x"]
        return dx


class ReturnsNothing(Linear):
    def backward(self, params, dy, cache, grads):
        super().backward(params, dy, cache, grads)


class SmallDx(Linear):
    def backward(self, params, dy, cache, grads):
        return super().backward(params, dy, cache, grads).astype(np.float32)


class Coarse(Linear):
    def forward(self, params, x):
        return super().forward(params, x.astype(np.float32).astype(x.dtype))


class Buffer(Linear):
    """y, or dx, is one array for all passes."""

    def __init__(self, of):
        super().__init__(5, 3)
        self.of, self.kept = of, {}

    def _into(self, name, array):
        buffer = self.kept.setdefault((array.shape, array.dtype), np.empty_like(array))
        buffer[...] = array
        return buffer if self.of == name else array

    def forward(self, params, x):
        y, cache = super().forward(params, x)
        return self._into("y", y), cache

    def backward(self, params, dy, cache, grads):
        return self._into("dx", super().backward(params, dy, cache, grads))


class KeepsInBackward(Linear):
    """The first dy is kept for all later passes."""

    dy = None

    def backward(self, params, dy, cache, grads):
        same = self.dy is not None and self.dy.shape == dy.shape
        self.dy = self.dy if same else dy.copy()
        return super().backward(params, self.dy, cache, grads)


class AddsTwice(Linear):
    def backward(self, params, dy, cache, grads):
        grads["w"] += grads["w"]
        return super().backward(params, dy, cache, grads)


@pytest.mark.parametrize(
    "layer, problem",
    [
        (Buffer("y"), "the next forward pass overwrites y: return a fresh array"),
        (Buffer("dx"), "the next backward pass overwrites dx: return a fresh array"),
        (AddsTwice(5, 3), "what backward adds to grads 'w' depends on what is in it"),
        (SmallDx(5, 3), "backward returns float32 for float64"),
        (Coarse(5, 3), "forward does not notice changes of 1e-10"),
        (ChangesParams(5, 3), "forward changes params in place"),
        (ChangesParamsInBackward(5, 3), "backward changes params in place"),
        (ChangesTheCache(5, 3), "backward changes the cache in place"),
        (ReturnsNothing(5, 3), "backward returns NoneType; it must return dx"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_breaks_the_protocol_is_named(layer, problem):
    report = minivit.gradcheck(layer, X)
    assert not report.ok
    assert any(each.startswith(problem) for each in report.problems), report
    assert f"PROBLEM: {problem}" in str(report)


class NoBackward:
    def init(self, rng, dtype):
        return {}

    forward = init


class OnlyY(Linear):
    def forward(self, params, x):
        return super().forward(params, x)[0]


@pytest.mark.parametrize(
    "layer, x, options, message",
    [
        (NoBackward(), X, {}, "NoBackward has no backward; expected a layer"),
        (3, X, {}, "int has no forward and no backward"),
        (OnlyY(5, 3), X, {}, "forward returns ndarray; it must return two things"),
        (Linear(5, 3), np.ones((2, 5), int), {}, "x is int64 of shape .* integers have no slope"),
        (Linear(5, 3), np.ones((0, 5)), {}, r"x is float64 of shape \(0, 5\); .* at least one"),
        (Linear(5, 3), X, dict(params={"w": 1}), "params is dict; expected minivit.Params"),
        (Linear, X, {}, r"Linear is a class; expected a layer, such as Linear\(…\)"),
    ],
)
def test_what_is_no_layer_input_or_parameters_is_refused(layer, x, options, message):
    with pytest.raises(TypeError, match=message):
        minivit.gradcheck(layer, x, **options)


class Thinned(Linear):
    """A layer with dropout inside that does not hand the generator on."""

    def __init__(self):
        super().__init__(5, 3)
        self.parts = (Dropout(0.5), [Dropout(0.2)])


def test_a_layer_inside_that_gets_no_rng_is_noted():
    report = minivit.gradcheck(Thinned(), X)
    assert report.ok
    assert report.notes == ["these get no rng and are checked as in evaluation: parts.0, parts.1.0"]


class Cached:
    def __init__(self, x):
        self.x = x


class WithObject(Linear):
    def forward(self, params, x):
        y, cache = super().forward(params, x)
        return y, {"x": Cached(cache["x"]), "rng": np.random.default_rng(0)}

    def backward(self, params, dy, cache, grads):
        return super().backward(params, dy, {"x": cache["x"].x}, grads)


class Pixels(Linear):
    def forward(self, params, x):
        if x.real.min() < 0 or x.real.max() > 1:
            raise ValueError("pixels lie in [0, 1]")
        return super().forward(params, x)


class InFloat32(Linear):
    def init(self, rng, dtype):
        return super().init(rng, np.float32)


def test_what_backward_keeps_on_self_is_found():
    assert not minivit.gradcheck(KeepsInBackward(5, 3), X).ok


def test_what_a_pass_keeps_on_self_is_named():
    class Keeps(Linear):
        def forward(self, params, x):
            self.x = x
            return super().forward(params, x)

        def backward(self, params, dy, cache, grads):
            return super().backward(params, dy, {"x": self.x}, grads)

    layer = Keeps(5, 3)
    kept = "a pass keeps x on self: what backward needs belongs in the cache"
    assert kept in minivit.gradcheck(layer, X).problems


def test_an_output_that_rightly_stands_still_is_no_sign_of_float32():
    for layer, x in (
        (Softmax(), np.zeros((2, 3))),
        (Softmax(), X[..., :1]),
        (LayerNorm(5), np.full((2, 5), 1e4)),
        (Linear(5, 3), 1e-9 * X),
        (Loss(lambda y: minivit.cross_entropy(y, [0])), np.array([[18.0, 0, -3, 0, -7]])),
    ):
        assert minivit.gradcheck(layer, x).ok


def test_the_slope_of_the_first_pass_kept_for_all_of_its_shape_is_named():
    class Keeps(Softmax):
        factor = None

        def backward(self, dy, cache):
            if self.factor is None or self.factor.shape != dy.shape:
                self.factor = 1 + cache["y"]
            return super().backward(dy, cache) * self.factor / (1 + cache["y"])

    assert minivit.gradcheck(Keeps(), X).problems == [
        "a pass keeps factor on self: what backward needs belongs in the cache"
    ]


@pytest.mark.parametrize("layer", [WithObject(5, 3), Pixels(5, 3), InFloat32(5, 3)])
def test_no_false_alarm(layer):
    x = np.random.default_rng(0).uniform(0.2, 0.8, (3, 2, 5))
    assert minivit.gradcheck(layer, x).ok
