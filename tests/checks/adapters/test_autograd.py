"""PyTorch's code: names, tensors that want a gradient, what stays as it was, what is refused."""

import subprocess
import sys

import numpy as np
import pytest

import minivit
from minivit.checks.adapters import adapted

torch = pytest.importorskip("torch")
examples = pytest.importorskip(f"{__package__}.torch_code")
LinearFunction, DropoutFunction = examples.LinearFunction, examples.DropoutFunction

RNG = np.random.default_rng(0)
X, W, B = (RNG.standard_normal(shape) for shape in ((5, 4), (3, 4), (3,)))


def test_arguments_are_named_as_in_forward():
    report = minivit.gradcheck(LinearFunction, X, W, B)
    assert report.ok, report
    assert [row.name for row in report.rows] == ["x", "w", "b"]
    assert report.method == "central"
    assert "slopes by central differences of the best step" in report.notes[0]


def test_only_tensors_that_require_a_gradient_are_checked_if_any_does():
    x, w = torch.tensor(X), torch.tensor(W, requires_grad=True)
    report = minivit.gradcheck(LinearFunction, x, w, torch.tensor(B))
    assert report.ok, report
    assert [row.name for row in report.rows] == ["w"]


def test_an_array_without_a_gradient_stays_as_it_is_and_that_is_said():
    report = minivit.gradcheck(examples.SquaredError, X, X + 1)
    assert report.ok, report
    assert report.notes[1] == "there is no gradient of target, which stays as it is"


def test_a_module_stays_as_it_was():
    for make in (examples.LinearModule, examples.ManualLinear):
        module = make()
        before = {name: each.detach().clone() for name, each in module.state_dict().items()}
        report = minivit.gradcheck(module, X)
        assert report.ok, report
        assert [row.name for row in report.rows] == ["x", "weight", "bias"], make
        for name, each in module.state_dict().items():
            assert each.dtype == torch.float32
            assert torch.equal(each, before[name])
        assert all(each.grad is None for each in module.parameters())
        assert not hasattr(module, "x")


def test_frozen_parameters_are_left_out():
    module = examples.Network()
    module.fc1.requires_grad_(False)
    report = minivit.gradcheck(module, X)
    assert report.ok, report
    assert [row.name for row in report.rows] == ["x", "fc2.weight", "fc2.bias"]


def test_random_numbers_are_seeded_and_go_on_as_before():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    report = minivit.gradcheck(DropoutFunction, X, 0.5)
    assert report.ok, report
    assert "forward draws random numbers: torch is seeded before each pass" in report.notes
    assert torch.equal(torch.rand(3), expected)


def test_float32_inside_is_a_problem():
    class Coarse(torch.nn.Module):
        def forward(self, x):
            return torch.tanh(x.float()).double()

    assert "somewhere it computes in float32" in minivit.gradcheck(Coarse(), X).problems[0]


def test_the_number_of_threads_stays():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with adapted(LinearFunction, (X, W, B), None, 0):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_gradient_of_another_shape_is_refused_by_torch_itself():
    class Wrong(LinearFunction):
        @staticmethod
        def backward(ctx, grad_output):
            x, w = ctx.saved_tensors
            return grad_output @ w, (grad_output.t() @ x).t(), grad_output.sum(0)

    with pytest.raises(RuntimeError, match="invalid gradient at index 1"):
        minivit.gradcheck(Wrong, X, W, B)


def test_refusals():
    with pytest.raises(ValueError, match="give no order"):
        minivit.gradcheck(LinearFunction, X, W, B, order=("x", "w", "b"))
    with pytest.raises(TypeError, match="got 3 arguments"):
        minivit.gradcheck(LinearFunction, X, W)
    with pytest.raises(TypeError, match="none of x, p is a tensor of floats"):
        minivit.gradcheck(DropoutFunction, torch.arange(3), 0.5)


def test_torch_is_never_imported():
    code = (
        "import sys, numpy as np, minivit; x = np.arange(6.0).reshape(2, 3); "
        "minivit.gradcheck(np.tanh, lambda dout, x: dout * (1 - np.tanh(x) ** 2), x); "
        "print('torch' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert printed.stdout.strip() == "False", printed.stderr
