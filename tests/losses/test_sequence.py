import numpy as np
import pytest

import minivit
from minivit.backend import beside, to_device
from minivit.checks.sequence_formulas import sequence_cross_entropy as formula
from minivit.losses import sequence_cross_entropy
from tests.numeric import both_ways, relative_error

LENGTHS = np.array([5, 1, 3])
RNG = np.random.default_rng


def case():
    rng = RNG(0)
    return rng.standard_normal((3, 5, 4)), rng.integers(0, 4, (3, 5))


@both_ways
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_value_and_gradient(differentiate, dtype, limit, smoothing):
    logits, targets = case()
    loss, dlogits = sequence_cross_entropy(logits, targets, LENGTHS, smoothing=smoothing)
    assert loss == pytest.approx(formula(logits, targets, LENGTHS, smoothing), rel=1e-12)
    z = logits.astype(dtype)
    slopes = differentiate(
        lambda: sequence_cross_entropy(z, targets, LENGTHS, smoothing=smoothing)[0], z
    )
    assert relative_error(dlogits, slopes) <= limit


def test_equals_pytorch_which_ignores_an_index():
    torch = pytest.importorskip("torch")
    logits, targets = case()
    targets[np.arange(5) >= LENGTHS[:, None]] = -100
    loss, dlogits = sequence_cross_entropy(logits, targets, LENGTHS, smoothing=0.1)
    z = torch.tensor(logits, requires_grad=True)
    twin = torch.nn.functional.cross_entropy(
        z.flatten(0, 1), torch.tensor(targets).flatten(), ignore_index=-100, label_smoothing=0.1
    )
    twin.backward()
    assert loss == pytest.approx(twin.item(), rel=1e-12)
    assert relative_error(dlogits, z.grad.numpy()) <= 1e-10


def test_what_stands_at_padding_never_matters():
    logits, targets = case()
    loss, dlogits = sequence_cross_entropy(logits, targets, LENGTHS)
    padding = np.arange(5) >= LENGTHS[:, None]
    assert not dlogits[padding].any() and dlogits[~padding].all()
    logits[padding], targets[padding] = np.nan, -1
    again, dagain = sequence_cross_entropy(logits, targets, LENGTHS)
    assert again == loss
    np.testing.assert_array_equal(dagain, dlogits)


def test_every_real_token_counts_as_much_whatever_its_sequence():
    logits, targets = case()
    loss, _ = sequence_cross_entropy(logits, targets, LENGTHS)
    sums = [n * sequence_cross_entropy(logits[b : b + 1], targets[b : b + 1], [n])[0]
            for b, n in enumerate(LENGTHS)]  # fmt: skip
    assert loss == pytest.approx(sum(sums) / 9)


def test_without_padding_it_is_the_cross_entropy_of_all_rows():
    logits, targets = case()
    loss, dlogits = sequence_cross_entropy(logits, targets, [5, 5, 5])
    expected, dexpected = minivit.cross_entropy(logits.reshape(15, 4), targets.reshape(15))
    assert loss == expected
    np.testing.assert_array_equal(dlogits, dexpected.reshape(3, 5, 4))


@pytest.mark.parametrize("there", [False, True])
def test_runs_where_the_logits_are(device, there):
    logits, targets = case()
    expected, dexpected = sequence_cross_entropy(logits, targets, LENGTHS, smoothing=0.1)
    moved = to_device(logits.astype(np.float32), device)
    labels = beside(targets, moved) if there else targets
    loss, dlogits = sequence_cross_entropy(moved, labels, LENGTHS, smoothing=0.1)
    assert dlogits.dtype == np.float32 and float(loss) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(to_device(dlogits, "cpu"), dexpected, atol=1e-6)


@pytest.mark.parametrize(
    "change, error, message",
    [
        (dict(lengths=[5, 0, 1]), ValueError, "lengths must be of the 5 tokens, 1 to 5, got 0"),
        (dict(lengths=[5, 6, 1]), ValueError, "1 to 5, got 6"),
        (dict(lengths=[5, 1]), ValueError, r"lengths: expected shape \(3\), got \(2,\)"),
        (dict(lengths=[5.0, 1, 1]), TypeError, "lengths must be integers"),
        (dict(targets=np.full((3, 5), 4)), ValueError, "label 4 is out of range; 4 classes"),
        (dict(targets=np.zeros((3, 4), int)), ValueError, r"targets \(B, T\), got \(3, 5, 4\) and"),
        (dict(logits=np.zeros((15, 4))), ValueError, r"expected logits \(B, T, V\)"),
        (dict(smoothing=1.0), ValueError, "smoothing must be at least 0 and less than 1"),
    ],
)
def test_refuses_what_does_not_fit(change, error, message):
    logits, targets = case()
    given = dict(logits=logits, targets=targets, lengths=LENGTHS) | change
    with pytest.raises(error, match=message):
        sequence_cross_entropy(**given)
