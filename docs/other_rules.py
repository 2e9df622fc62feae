"""The gradient checks of courses and libraries, each written down from its public description.

A rule looks at a layer at some parameters, with some upstream gradient, and says whether it finds
an error. Where it compares with PyTorch, the engine's own layer takes PyTorch's place: the tests
hold the two to 1e-10.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from minivit import Params
from minivit.checks.cases import CASES, OTHERS
from minivit.checks.faults import planted
from minivit.checks.inside import backward_of, forward_of, gradients_in, has_params
from minivit.checks.numeric import random_params


class WithLoss:
    """A model and its loss as one layer, whose output is the loss."""

    def __init__(self, model, loss, seed):
        self.model, self.loss = model, loss
        self.run, self.back = forward_of(model, seed), backward_of(model)

    def init(self, rng, dtype):
        return self.model.init(rng, dtype) if has_params(self.model) else {}

    def forward(self, params, x):
        logits, cache = self.run(params, x)
        loss, dlogits = self.loss(logits)
        return np.asarray(loss), {"model": cache, "dlogits": dlogits}

    def backward(self, params, dy, cache, grads):
        return self.back(params, dy * cache["dlogits"], cache["model"], grads)


class Function:
    """A layer at a point: y as a function of the arrays {name: array}, "x" first."""

    def __init__(self, case, seed, initial, dtype):
        rng = np.random.default_rng([seed, 3])
        self.layer = WithLoss(case.make(), case.loss, seed) if case.loss else case.make()
        if initial and has_params(self.layer):
            params = Params(self.layer.init(rng, np.float64))
        else:
            params = random_params(self.layer, rng)
        self.params, self.forward = params.astype(dtype), forward_of(self.layer, seed)
        self.at = {"x": rng.standard_normal(case.shape).astype(dtype)}
        self.at |= {name: leaf.copy() for name, leaf in self.params.named()}

    def __call__(self, at):
        flat = [np.ravel(array) for array in at.values()][1:]
        params = self.params.of(np.concatenate(flat)) if flat else self.params
        return self.forward(params, at["x"].copy())[0].copy()

    def moved(self, directions, step):
        """y where each array has gone `step` along its direction."""
        return self({name: a + step * directions.get(name, 0) for name, a in self.at.items()})

    def slope(self, directions, step):
        """The central difference of y along directions, at ± step."""
        return (self.moved(directions, step) - self.moved(directions, -step)) / (2 * step)

    def gradients(self, dy):
        """{name: gradient} as the layer's backward has it."""
        x = self.at["x"].copy()
        _, cache = self.forward(self.params, x)
        gradients = gradients_in(self.layer, self.params, dy.copy(), cache)
        return {name: np.array(gradients[name]) for name in self.at}

    def entries(self, name):
        """Every direction that is 1 in one number of an array and 0 elsewhere."""
        for place in np.ndindex(self.at[name].shape):
            direction = np.zeros(self.at[name].shape)
            direction[place] = 1
            yield {name: direction}


def outcome(f, dy):
    """{name: array}: the output and all gradients."""
    return {"y": f(f.at), **f.gradients(dy)}


def differs_from_reference(f, dy, rng, expected, *, atol, rtol):
    found = outcome(f, dy)
    return any(
        found[name].shape != right.shape or not np.allclose(found[name], right, rtol, atol)
        for name, right in expected.items()
    )


def relative_error_is_large(f, dy, rng, expected, *, most):
    """CS231n's eval_numerical_gradient_array and rel_error, judged at `most`."""
    for name, written in f.gradients(dy).items():
        numeric = [(f.slope(direction, 1e-5) * dy).sum() for direction in f.entries(name)]
        numeric = np.reshape(numeric, f.at[name].shape)
        if written.shape != numeric.shape:
            return True
        total = np.maximum(1e-8, abs(written) + abs(numeric))
        if not np.max(abs(written - numeric) / total) <= most:
            return True
    return False


def jacobian_differs(f, dy, rng, expected, *, atol, rtol):
    """torch.autograd.gradcheck: every number of the Jacobian, and two backward passes agree."""
    rows = []
    for place in np.ndindex(dy.shape):
        one = np.zeros(dy.shape)
        one[place] = 1
        row, again = f.gradients(one), f.gradients(one)
        if any(row[name].shape != array.shape for name, array in f.at.items()):
            return True
        if any(not np.array_equal(row[name], again[name]) for name in row):
            return True
        rows.append(row)
    for name in f.at:
        numeric = np.array([f.slope(direction, 1e-6).ravel() for direction in f.entries(name)])
        written = np.array([row[name].ravel() for row in rows]).T
        if not np.allclose(written, numeric, rtol, atol):
            return True
    return False


def projection_differs(f, dy, rng, expected, *, atol, rtol):
    """Its fast mode: vᵀ J u for one u of each array and one v, both positive and of length 1."""
    v = unit(rng.random(dy.shape))
    first, again = f.gradients(v), f.gradients(v)
    for name, written in first.items():
        u = unit(rng.random(f.at[name].shape))
        numeric = (f.slope({name: u}, 1e-6) * v).sum()
        allowed = atol * u.sum() * v.sum() + rtol * abs(numeric)
        if written.shape != u.shape or not np.array_equal(written, again[name]):
            return True
        if not abs((written * u).sum() - numeric) <= allowed:
            return True
    return False


def one_direction_differs(f, dy, rng, expected, *, atol, rtol):
    """chainer's check_backward: one direction of length 1 through all arrays together."""
    directions = {name: rng.standard_normal(array.shape) for name, array in f.at.items()}
    length = np.sqrt(sum((d**2).sum() for d in directions.values()))
    directions = {name: d / length for name, d in directions.items()}
    numeric = (f.slope(directions, 1e-3) * dy).sum()
    written = sum((g * directions[name]).sum() for name, g in f.gradients(dy).items())
    return not abs(written - numeric) <= atol + rtol * abs(written)


def vjp_differs(f, dy, rng, expected, *, atol, rtol):
    """autograd's check_vjp: one direction through all arrays, absolute or relative error."""
    gradients = f.gradients(dy)
    if any(gradients[name].shape != array.shape for name, array in f.at.items()):
        return True
    directions = {name: rng.standard_normal(array.shape) for name, array in f.at.items()}
    numeric = (f.slope(directions, 5e-7) * dy).sum()
    written = sum((g * directions[name]).sum() for name, g in gradients.items())
    difference = abs(written - numeric)
    return not (difference < atol or difference / abs(written + numeric) < rtol)


def unit(direction):
    return direction / max(np.linalg.norm(direction), 1e-300)


@dataclasses.dataclass(frozen=True)
class Rule:
    name: str
    place: str  # where it is described in public
    prints: str  # what it says when it finds an error
    differs: Callable
    tolerances: dict
    reference: bool = False  # it compares with one, in float32
    ones: bool = False  # the upstream gradient is all ones
    initial: bool = False  # at initial parameters

    def points(self, name, seed):
        """Yield a call that builds the Function and one that draws dy and a rng, for each case."""
        dtype = np.float32 if self.reference else np.float64
        for case in (CASES[name], *OTHERS[name]):
            yield functools.partial(Function, case, seed, self.initial, dtype)

    def catches(self, name, seed, fault=None):
        """Whether it finds the fault in one of the cases; without a fault, whether it accuses."""
        return any(self._catches(make, seed, fault) for make in self.points(name, seed))

    def _catches(self, make, seed, fault):
        f = make()
        rng, y = np.random.default_rng([seed, 4]), f(f.at)
        dy = (np.ones(y.shape) if self.ones else rng.standard_normal(y.shape)).astype(y.dtype)
        expected = outcome(f, dy) if self.reference else None
        with planted(fault) if fault else contextlib.nullcontext():
            try:
                return bool(self.differs(make(), dy, rng, expected, **self.tolerances))
            except Exception:  # a wrong shape, or the like
                return True


def both(tolerance):
    return dict(atol=tolerance, rtol=tolerance)


GRADCHECK = "PyTorch's documentation, torch.autograd.gradcheck and its notes, Gradcheck mechanics"
RULES = [
    Rule("CMU 11-785", "puru-samal/IDL-HW4, tests/test_mytorch_multi_head_attention.py",
         "“Query gradients don't match for case” and the sizes", differs_from_reference,
         both(1e-4), reference=True, ones=True, initial=True),
    Rule("Stanford CS336", "stanford-cs336/assignment2-systems, tests/test_attention.py",
         "how many numbers differ, and the largest difference", differs_from_reference,
         both(1e-2), reference=True),
    Rule("CS231n, error ≤ 1e-6", "cs231n/cs231n.github.io, neural-networks-3.md; the notebooks",
         "the relative error of each array", relative_error_is_large, dict(most=1e-6)),
    Rule("CS231n, error ≤ 1e-7", "the same", "the same", relative_error_is_large,
         dict(most=1e-7)),
    Rule("torch.autograd.gradcheck", GRADCHECK, "both Jacobians", jacobian_differs,
         dict(atol=1e-5, rtol=1e-3)),
    Rule("the same, fast_mode=True", GRADCHECK, "both products", projection_differs,
         dict(atol=1e-5, rtol=1e-3)),
    Rule("chainer's check_backward", "chainer's documentation, chainer.gradient_check",
         "inputs and both slopes", one_direction_differs, dict(atol=1e-5, rtol=1e-4)),
    Rule("autograd's check_grads", "HIPS/autograd, autograd/test_util.py",
         "the input and both slopes", vjp_differs, both(1e-6)),
]  # fmt: skip
