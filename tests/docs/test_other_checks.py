"""The checks of courses and libraries say of the catalogue's bugs what docs/neighbours.md shows."""

import numpy as np
import pytest

from docs import other_checks
from docs.other_checks import accused, bugs, case_of, own_row, row_of, seeds_of
from docs.other_rules import RULES, Function
from minivit.checks.cases import CASES
from minivit.checks.faults import faults, planted
from tests.samples import sample

BY_NAME = {rule.name: rule for rule in RULES}
QUICK = ["CMU 11-785", "Stanford CS336", "chainer's check_backward", "autograd's check_grads"]


def page():
    return other_checks.PAGE.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", sample(QUICK, 4))
def test_the_page_shows_the_row_of_a_rule_and_what_it_misses(name):
    row, reasons = row_of(BY_NAME[name], *bugs())
    assert row in page()
    for reason, missed in reasons.items():
        (line,) = [line for line in page() if line.startswith(f"- {name}, hidden by {reason}:")]
        assert line.count("`") == 2 * len(missed)
        assert all(f"`{each}`" in line for each in missed)


@pytest.mark.slow
@pytest.mark.thorough
def test_the_page_shows_the_tables():
    shown = "\n".join(page())
    for line in other_checks.tables():
        assert line in shown


def test_the_page_shows_how_many_causes_minivit_names():
    assert own_row(*bugs()) in page()


@pytest.mark.slow
@pytest.mark.thorough
def test_a_right_layer_is_accused_where_its_gradient_is_zero():
    assert "attention" in accused(BY_NAME["CS231n, error ≤ 1e-6"], seeds=[0])
    assert accused(BY_NAME["the same, fast_mode=True"], seeds=[0]) == []


@pytest.mark.parametrize(
    "name, rule, count",
    [
        ("softmax_diagonal", "torch.autograd.gradcheck", 2),
        ("softmax_eps_in_the_sum", "torch.autograd.gradcheck", 0),
        ("bias_gradient_as_a_column", "torch.autograd.gradcheck", 2),
        ("dropout_mask_drawn_again", "torch.autograd.gradcheck", 2),
        ("layernorm_without_mean", "the same, fast_mode=True", 2),
        ("gelu_upstream_ignored", "CMU 11-785", 0),
        ("attention_over_heads", "chainer's check_backward", 0),
    ],
)
def test_a_rule_sees_some_bugs_and_not_others(name, rule, count):
    assert seeds_of(BY_NAME[rule], faults()[name], seeds=range(2)) == count


@pytest.mark.parametrize("fast_mode", [False, True])
@pytest.mark.parametrize("name", ["softmax_diagonal", "softmax_eps_in_the_sum", None])
def test_the_rule_of_gradcheck_is_that_of_pytorch(name, fast_mode):
    torch = pytest.importorskip("torch")
    fault = faults()[name] if name else None

    class Softmax(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.f = Function(CASES["softmax"], 0, False, np.float64)
            ctx.f.at["x"] = x.detach().numpy()
            return torch.from_numpy(ctx.f(ctx.f.at))

        @staticmethod
        def backward(ctx, dy):
            return torch.from_numpy(ctx.f.gradients(dy.numpy())["x"])

    x = torch.from_numpy(np.random.default_rng(0).standard_normal(CASES["softmax"].shape))
    x.requires_grad_()
    rule = BY_NAME["the same, fast_mode=True" if fast_mode else "torch.autograd.gradcheck"]
    with planted(fault) if fault else np.errstate():
        passes = torch.autograd.gradcheck(
            Softmax.apply, x, fast_mode=fast_mode, raise_exception=False
        )
    assert passes is not rule.catches("softmax", 0, fault)


def test_what_no_comparison_sees_is_left_out():
    wrong, alike = bugs()
    assert "weights_assigned" not in wrong | alike
    assert case_of(faults()["adam_eps_inside"]) is None
    assert "attention_over_heads" in alike and "softmax_diagonal" in wrong
