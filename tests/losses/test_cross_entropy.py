import math

import numpy as np
import pytest

import minivit
from tests.numeric import central_differences, complex_step, relative_error

pytestmark = pytest.mark.usefixtures("everywhere")
SMOOTHING = [0.0, 0.1, 0.9]


def case(seed=0):
    rng = np.random.default_rng(seed)
    return 3 * rng.standard_normal((5, 7)), rng.integers(0, 7, 5)


@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_equals_naive_loops(smoothing):
    logits, labels = case()
    expected = 0
    for row, label in zip(logits, labels, strict=True):
        total = sum(math.exp(z) for z in row)
        for k, z in enumerate(row):
            target = (1 - smoothing) * (k == label) + smoothing / 7
            expected -= target * math.log(math.exp(z) / total) / 5
    assert minivit.cross_entropy(logits, labels, smoothing=smoothing)[0] == pytest.approx(
        expected, rel=1e-12
    )


@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_gradient_equals_differences(smoothing):
    logits, labels = case()
    _, dlogits = minivit.cross_entropy(logits, labels, smoothing=smoothing)
    numeric = central_differences(
        lambda: minivit.cross_entropy(logits, labels, smoothing=smoothing)[0], logits
    )
    assert relative_error(dlogits, numeric) <= 1e-7
    logits = logits.astype(complex)
    numeric = complex_step(
        lambda: minivit.cross_entropy(logits, labels, smoothing=smoothing)[0], logits
    )
    assert relative_error(dlogits, numeric) <= 1e-12


@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_equals_pytorch(smoothing):
    torch = pytest.importorskip("torch")
    logits, labels = case()
    twin = torch.tensor(logits, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(
        twin, torch.tensor(labels), label_smoothing=smoothing
    )
    expected.backward()
    loss, dlogits = minivit.cross_entropy(logits, labels, smoothing=smoothing)
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    assert relative_error(dlogits, twin.grad.numpy()) <= 1e-12


@pytest.mark.parametrize("smoothing", [*SMOOTHING, np.float64(0.1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_is_kept(dtype, smoothing):
    logits, labels = case()
    loss, dlogits = minivit.cross_entropy(logits.astype(dtype), labels, smoothing=smoothing)
    assert (loss.dtype, dlogits.dtype) == (np.dtype(dtype), np.dtype(dtype))


@pytest.mark.parametrize("smoothing", SMOOTHING)
@pytest.mark.parametrize("size", [1e4, 1e30, 1.6e38])
def test_huge_logits_stay_finite(size, smoothing):
    logits = np.array([[size, -size, 0], [-size, size, 0]], np.float32)
    loss, dlogits = minivit.cross_entropy(logits, [0, 0], smoothing=smoothing)
    share = (1 - smoothing) / 2  # row 1 is wrong by 2 · size; smoothing adds size in both rows
    assert loss == pytest.approx((2 * share + smoothing) * size, rel=1e-6)
    target = np.full((2, 3), smoothing / 3) + (1 - smoothing) * np.eye(3)[[0, 0]]
    np.testing.assert_allclose(dlogits, (np.eye(3)[[0, 1]] - target) / 2, atol=1e-7)


@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_gradient_is_right_even_where_the_loss_exceeds_the_dtype(smoothing):
    largest = np.finfo(np.float32).max
    logits = np.array([[largest, -largest], [-largest, largest]], np.float32)
    with np.errstate(over="ignore"):
        loss, dlogits = minivit.cross_entropy(logits, [0, 0], smoothing=smoothing)
    assert loss == np.inf
    target = np.full((2, 2), smoothing / 2) + (1 - smoothing) * np.eye(2)[[0, 0]]
    np.testing.assert_allclose(dlogits, (np.eye(2) - target) / 2, atol=1e-7)


def test_logits_are_not_changed():
    logits, labels = case()
    logits.flags.writeable = False
    minivit.cross_entropy(logits, labels, smoothing=0.1)


@pytest.mark.parametrize("logits", [np.array([[1, 3, 2]], np.uint8), [[1.0, 3.0, 2.0]]])
def test_refuses_logits_that_are_no_floating_point_array(logits):
    with pytest.raises(TypeError, match="logits must be a floating-point array, got (uint8|list)"):
        minivit.cross_entropy(logits, [1])


def test_refuses_an_empty_batch():
    with pytest.raises(ValueError, match="batch is empty"):
        minivit.cross_entropy(np.zeros((0, 3)), np.zeros(0, int))


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_refuses_smoothing_out_of_range(smoothing):
    with pytest.raises(ValueError, match="smoothing must be at least 0 and less than 1"):
        minivit.cross_entropy(*case(), smoothing=smoothing)


def test_the_first_label_that_is_out_of_range_is_named():
    with pytest.raises(ValueError, match="label 7 is out of range; 3 classes"):
        minivit.cross_entropy(np.zeros((4, 3)), [1, 7, -2, 9])
