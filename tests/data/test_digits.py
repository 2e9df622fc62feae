import gzip
import hashlib
import shutil

import numpy as np
import pytest

import minivit
from minivit.data.digits import MNIST, Split, hold_out
from tests.data.idx import few_digits, write_digits

IMAGES = "train-images-idx3-ubyte"


def test_mnist():
    data = minivit.load_digits()
    assert data.train.images.shape == (60_000, 28, 28)
    assert data.test.images.shape == (10_000, 28, 28)
    assert (data.train.images.dtype, data.train.labels.dtype) == (np.uint8, np.int64)
    assert data.classes == [str(digit) for digit in range(10)]
    np.testing.assert_array_equal(data.train.labels[:10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4])
    np.testing.assert_array_equal(data.test.labels[:10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9])
    assert round(data.train.images.mean() / 255, 4) == 0.1307  # as everyone has it
    assert round(data.train.images.std() / 255, 4) == 0.3081


def test_the_checksums_are_those_of_the_original_files():
    sums = (MNIST / "MD5SUMS").read_text(encoding="ascii").split()
    assert sums[::2] == [
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
    ]


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


def test_refuses_a_file_that_differs_from_its_checksum(tmp_path):
    """One pixel changed and packed again: only the checksum can tell."""
    folder = few_digits(tmp_path)
    path = folder / f"{IMAGES}.gz"
    raw = gzip.decompress(path.read_bytes())
    list_sums(folder)
    minivit.load_digits(folder)
    path.write_bytes(gzip.compress(raw[:-1] + bytes([raw[-1] ^ 1])))
    with pytest.raises(ValueError, match=f"{IMAGES}.gz is damaged: the MD5 sum"):
        minivit.load_digits(folder)


def list_sums(folder, form="{md5}  {name}"):
    """Write an MD5SUMS of the folder's files."""
    lines = []
    for path in sorted(folder.glob("*.gz")):
        md5 = hashlib.md5(gzip.decompress(path.read_bytes())).hexdigest()
        lines.append(form.format(md5=md5, name=path.name.removesuffix(".gz")))
    (folder / "MD5SUMS").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("form", ["{md5} *{name}", "{md5}  ./{name}"])
def test_reads_the_forms_that_md5sum_writes(tmp_path, form):
    folder = few_digits(tmp_path)
    list_sums(folder, form)
    minivit.load_digits(folder)
    (folder / "MD5SUMS").write_text((folder / "MD5SUMS").read_text().translate({48: 49, 49: 48}))
    with pytest.raises(ValueError, match="is damaged: the MD5 sum"):
        minivit.load_digits(folder)


@pytest.mark.parametrize(
    "text", ["", "hello\n", "d41d8cd98f00b204e9800998ecf8427e  other\n", "\0\xff"]
)
def test_refuses_a_list_of_sums_without_the_file(tmp_path, text):
    folder = few_digits(tmp_path)
    (folder / "MD5SUMS").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=f"MD5SUMS has no line for {IMAGES}"):
        minivit.load_digits(folder)


def test_the_package_verifies_its_own_mnist(tmp_path, monkeypatch):
    folder = shutil.copytree(MNIST, tmp_path / "mnist")
    path = folder / "t10k-labels-idx1-ubyte.gz"
    raw = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(raw[:-1] + bytes([(raw[-1] + 1) % 10])))
    monkeypatch.setattr("minivit.data.digits.MNIST", folder)
    with pytest.raises(ValueError, match="t10k-labels-idx1-ubyte.gz is damaged: the MD5 sum"):
        minivit.load_digits()


def test_hold_out_splits_without_loss_or_overlap():
    split = Split(np.arange(100, dtype=np.uint8).reshape(100, 1, 1), np.arange(100))
    rest, validation = hold_out(split, 13, np.random.default_rng(0))
    assert (len(rest.labels), len(validation.labels)) == (87, 13)
    assert sorted([*rest.labels, *validation.labels]) == list(range(100))
    for part in (rest, validation):
        np.testing.assert_array_equal(part.images[:, 0, 0], part.labels)
    assert list(validation.labels) != list(range(13))
    again = hold_out(split, 13, np.random.default_rng(0))[1]
    np.testing.assert_array_equal(again.labels, validation.labels)


@pytest.mark.parametrize("count", [1, 99])
def test_holds_out_as_little_as_one_and_as_much_as_all_but_one(count):
    split = Split(np.zeros((100, 1, 1), np.uint8), np.arange(100))
    rest, validation = hold_out(split, count, np.random.default_rng(0))
    assert (len(rest.labels), len(validation.labels)) == (100 - count, count)


@pytest.mark.parametrize("count", [0, 100, -1])
def test_refuses_to_hold_out_all_or_nothing(count):
    split = Split(np.zeros((100, 1, 1), np.uint8), np.arange(100))
    with pytest.raises(ValueError, match=f"cannot hold out {count} of 100 images"):
        hold_out(split, count, np.random.default_rng(0))
