import numpy as np
import pytest
import safetensors.numpy

from minivit.pretrained import resize_matrix
from minivit.pretrained.positions import KINDS, resize_positions

from .cases import GOLDEN

GRIDS = safetensors.numpy.load_file(GOLDEN / "positions.safetensors")
SIZES = [(1, 1), (5, 9), (9, 5), (7, 2), (2, 7), (1, 4), (4, 1), (37, 16), (16, 37)]
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize("name", sorted({name.rpartition("/")[0] for name in GRIDS}))
def test_a_grid_is_resized_as_its_library_does(name):
    kind = name.partition("/")[0]
    old, new = GRIDS[f"{name}/old"], GRIDS[f"{name}/new"]
    pos = np.concatenate([np.ones((1, 3)), old.reshape(-1, 3)])
    resized = resize_positions(pos, old.shape[:2], new.shape[:2], kind)
    np.testing.assert_array_equal(resized[0], 1)  # a class token's stays as it is
    np.testing.assert_allclose(resized[1:].reshape(new.shape), new, rtol=1e-12, atol=1e-12)


@every_kind
@pytest.mark.parametrize("old, new", SIZES)
def test_equal_positions_stay_equal(old, new, kind):
    matrix = resize_matrix(old, new, kind)
    assert matrix.shape == (new, old)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-12)
    if new > 1:  # of one place, Google's takes the first
        np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-12)  # left is as right


@every_kind
def test_an_axis_that_keeps_its_size_stays_as_it_is(kind):
    np.testing.assert_array_equal(resize_matrix(7, 7, kind), np.eye(7))


@every_kind
def test_the_transpose_brings_gradients_back(kind):
    rng = np.random.default_rng(0)
    pos, dnew = rng.standard_normal((1 + 5 * 7, 3)), rng.standard_normal((1 + 9 * 4, 3))
    of_rows, of_columns = resize_matrix(5, 9, kind), resize_matrix(7, 4, kind)
    dgrid = np.einsum("ir,ijd,jc->rcd", of_rows, dnew[1:].reshape(9, 4, 3), of_columns)
    dpos = np.concatenate([dnew[:1], dgrid.reshape(-1, 3)])
    new = resize_positions(pos, (5, 7), (9, 4), kind)
    np.testing.assert_allclose((dnew * new).sum(), (dpos * pos).sum(), rtol=1e-12)


@pytest.mark.parametrize(
    "sizes, kind, message",
    [
        (
            (4, 5),
            "nearest",
            "kind must be one of google, timm, huggingface, torchvision, got 'nearest'",
        ),
        ((4, 0), "timm", "sizes must be at least 1, got 4 and 0"),
    ],
)
def test_refuses_what_is_no_resizing(sizes, kind, message):
    with pytest.raises(ValueError, match=message):
        resize_matrix(*sizes, kind)
