import numpy as np
import pytest

from minivit.losses import reconstruction
from minivit.losses.reconstruction import patches_of, target_of
from tests.numeric import central_differences, complex_step, relative_error

SEEN = np.array([[0, 3], [2, 1], [3, 2]])  # of 4 patches


def case():
    rng = np.random.default_rng(0)
    return rng.standard_normal((3, 4, 8)), rng.standard_normal((3, 4, 6))


def test_equals_naive_loops():
    painted, patches = case()
    errors = []
    for b in range(3):
        for n in set(range(4)) - set(SEEN[b].tolist()):
            mean, std = patches[b, n].mean(), np.sqrt(patches[b, n].var() + 1e-2)
            target = [*(patches[b, n] - mean) / std, mean, std]
            errors += [(y - t) ** 2 for y, t in zip(painted[b, n], target, strict=True)]
    assert reconstruction(painted, patches, SEEN)[0] == pytest.approx(np.mean(errors), rel=1e-12)


def test_gradient_equals_differences_and_is_zero_where_a_patch_was_seen():
    painted, patches = case()
    _, dpainted = reconstruction(painted, patches, SEEN)
    slopes = central_differences(lambda: reconstruction(painted, patches, SEEN)[0], painted)
    assert relative_error(dpainted, slopes) <= 1e-7
    moved = painted + 0j
    slopes = complex_step(lambda: reconstruction(moved, patches, SEEN)[0], moved)
    assert relative_error(dpainted, slopes) <= 1e-12
    rows = np.arange(3)[:, None]
    assert not dpainted[rows, SEEN].any()
    assert (dpainted != 0).sum() == 3 * 2 * 8


def test_equals_pytorch():
    torch = pytest.importorskip("torch")
    from tests import torch_reference

    painted, patches = case()
    loss, dpainted = reconstruction(painted, patches, SEEN)
    missing = np.ones((3, 4), bool)
    missing[np.arange(3)[:, None], SEEN] = False
    twin = torch.tensor(painted, requires_grad=True)
    expected = torch_reference.reconstruction(twin, torch.tensor(patches), torch.tensor(missing))
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    assert relative_error(dpainted, twin.grad.numpy()) <= 1e-12


def test_every_backend_computes_the_same(device):
    from minivit.backend import to_device

    painted, patches = case()
    loss, dpainted = reconstruction(to_device(painted, device), to_device(patches, device), SEEN)
    expected = reconstruction(painted, patches, SEEN)
    assert float(loss) == pytest.approx(float(expected[0]), rel=1e-12)
    np.testing.assert_allclose(to_device(dpainted, "cpu"), expected[1], rtol=1e-12)


def test_a_target_becomes_the_patches_again_and_a_blank_one_has_a_form_of_zeros():
    _, patches = case()
    patches[1, 2] = 0.7
    target = target_of(patches)
    np.testing.assert_allclose(patches_of(target), patches, rtol=1e-12)
    np.testing.assert_allclose(target[1, 2], [*[0] * 6, 0.7, 0.1], atol=1e-12)
    loss, dpainted = reconstruction(target, patches, SEEN)
    assert loss == 0 and not dpainted.any()


def test_nothing_that_was_handed_in_is_changed_and_the_dtype_is_kept():
    painted, patches = (array.astype(np.float32) for array in case())
    for array in (painted, patches):
        array.flags.writeable = False
    loss, dpainted = reconstruction(painted, patches, SEEN)
    assert (loss.dtype, dpainted.dtype) == (np.float32, np.float32)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(painted=np.zeros((3, 4, 6))), r"got \(3, 4, 6\), \(3, 4, 6\) and \(3, 2\)"),
        (dict(painted=np.zeros((3, 5, 8))), "expected painted"),
        (dict(patches=np.zeros((4, 6))), "expected painted"),
        (dict(seen=SEEN[:2]), "expected painted"),
        (dict(seen=SEEN[0]), "expected painted"),
        (dict(seen=np.tile(np.arange(4), (3, 1))), "no patch is missing"),
    ],
)
def test_refuses_what_does_not_fit(change, message):
    painted, patches = case()
    arguments = dict(painted=painted, patches=patches, seen=SEEN) | change
    with pytest.raises(ValueError, match=message):
        reconstruction(**arguments)
