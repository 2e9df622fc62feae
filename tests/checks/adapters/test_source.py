"""What names say: of gradients, of what backward takes, of what a function returns."""

import pytest

from minivit.checks.adapters.source import is_upstream, namesake, returned_names


@pytest.mark.parametrize(
    "gradient, names, expected",
    [
        ("dw", ["x", "w", "b"], 1),
        ("w", ["x", "w", "b"], 1),
        ("db", ["W", "b", "beta"], 1),
        ("dbeta", ["b", "beta"], 1),
        ("dX", ["x", "W"], 0),
        ("grad_weight", ["input", "weight"], 1),
        ("dprev_h", ["x", "prev_h", "h"], 1),
        ("dW", ["x", "weights", "bias"], 1),
        ("dW2", ["W1", "W2"], 1),
        ("grad_inputs", ["x", "weight"], 0),
        ("delta_w", ["w"], 0),
        ("dgamma", ["x", "beta"], None),
        ("dw", ["w", "W"], 0),
        ("dW", ["w1", "w2"], None),
        ("gradient", ["x"], None),
    ],
)
def test_the_array_that_a_gradient_s_name_means(gradient, names, expected):
    assert namesake(gradient, names) == expected


def test_an_array_is_not_its_own_gradient_if_that_is_not_meant():
    assert namesake("w", ["w"]) == 0
    assert namesake("w", ["w"], itself=False) is None


@pytest.mark.parametrize(
    "name", ["dout", "dy", "dnext_h", "grad_output", "upstream", "g", "delta", "dL_dy", "top_diff"]
)
def test_names_of_an_upstream_gradient(name):
    assert is_upstream(name)


@pytest.mark.parametrize("name", ["cache", "x", "data", "dropout_param", "d_k", "dim", "bn_param"])
def test_names_of_no_upstream_gradient(name):
    assert not is_upstream(name)


def nested(a, b):
    return a, (b, a + b)


def by_a_name(a):
    gradients = a, 2 * a
    return gradients


def early(a):
    if a is None:
        return None
    return a


@pytest.mark.parametrize(
    "function, expected",
    [(nested, ["a", ["b", None]]), (by_a_name, ["a", None]), (early, "a"), (lambda a: a, None),
     (max, None)],
)  # fmt: skip
def test_what_a_return_statement_names(function, expected):
    assert returned_names(function) == expected
