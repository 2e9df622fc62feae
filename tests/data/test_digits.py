import gzip
import shutil

import numpy as np
import pytest

import minivit
from minivit.data.digits import MNIST, Split, hold_out
from tests.data.idx import mnist, write_digits


def test_mnist():
    data = mnist()
    assert data.train.images.shape == (60_000, 28, 28)
    assert data.test.images.shape == (10_000, 28, 28)
    assert (data.train.images.dtype, data.train.labels.dtype) == (np.uint8, np.int64)
    assert data.classes == [str(digit) for digit in range(10)]
    np.testing.assert_array_equal(data.train.labels[:10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4])
    np.testing.assert_array_equal(data.test.labels[:10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9])
    assert round(data.train.images.mean() / 255, 4) == 0.1307  # the well-known figures
    assert round(data.train.images.std() / 255, 4) == 0.3081


@pytest.mark.parametrize("compressed", [True, False])
def test_a_folder_with_the_four_files(tmp_path, compressed):
    rng = np.random.default_rng(0)
    train = rng.integers(0, 256, (5, 7, 3)), rng.integers(0, 4, 5)
    test = rng.integers(0, 256, (2, 7, 3)), np.array([1, 4])
    data = minivit.load_digits(write_digits(tmp_path, train, test, compressed))
    np.testing.assert_array_equal(data.train.images, train[0])
    np.testing.assert_array_equal(data.train.labels, train[1])
    np.testing.assert_array_equal(data.test.images, test[0])
    assert data.classes == ["0", "1", "2", "3", "4"]


def test_the_package_verifies_its_own_mnist(tmp_path, monkeypatch):
    """One label changed and packed again: only the checksum can tell."""
    folder = shutil.copytree(MNIST, tmp_path / "mnist")
    path = folder / "t10k-labels-idx1-ubyte.gz"
    raw = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(raw[:-1] + bytes([(raw[-1] + 1) % 10])))
    monkeypatch.setattr("minivit.data.digits.MNIST", folder)
    with pytest.raises(ValueError, match="t10k-labels-idx1-ubyte.gz is damaged: the MD5 sum"):
        minivit.load_digits()


@pytest.mark.parametrize("count", [1, 13, 99])
def test_hold_out_splits_without_loss_or_overlap(count):
    split = Split(np.arange(100, dtype=np.uint8).reshape(100, 1, 1), np.arange(100))
    rest, validation = hold_out(split, count, np.random.default_rng(0))
    assert (len(rest.labels), len(validation.labels)) == (100 - count, count)
    assert sorted([*rest.labels, *validation.labels]) == list(range(100))
    for part in (rest, validation):
        np.testing.assert_array_equal(part.images[:, 0, 0], part.labels)
    assert list(validation.labels) != list(range(count))
    again = hold_out(split, count, np.random.default_rng(0))[1]
    np.testing.assert_array_equal(again.labels, validation.labels)


@pytest.mark.parametrize("count", [0, 100, -1])
def test_refuses_to_hold_out_all_or_nothing(count):
    split = Split(np.zeros((100, 1, 1), np.uint8), np.arange(100))
    with pytest.raises(ValueError, match=f"cannot hold out {count} of 100 images"):
        hold_out(split, count, np.random.default_rng(0))
