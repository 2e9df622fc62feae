import gzip
import http.server
import threading
from pathlib import Path

import numpy as np
import pytest

import minivit
from minivit.data import fashion
from tests.data.idx import few_digits

NAME = "train-images-idx3-ubyte"


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server of four small files in place of the real one, no Debian package, an empty cache."""
    folder = few_digits(tmp_path / "served")
    sums = {
        path.stem: fashion.hashlib.md5(gzip.decompress(path.read_bytes())).hexdigest()
        for path in folder.glob("*.gz")
    }

    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=folder)

        def log_message(self, form, *values):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,)).start()
    monkeypatch.setattr(fashion, "URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(fashion, "MD5_SUMS", sums)
    monkeypatch.setattr(fashion, "DEBIAN", tmp_path / "no package")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    yield folder, asked
    server.shutdown()
    server.server_close()


def cached(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_is_downloaded_once(served, tmp_path):
    folder, asked = served
    data = minivit.load_digits("fashion-mnist")
    again = minivit.load_digits("fashion-mnist")
    assert len(asked) == 4
    expected = minivit.load_digits(folder)
    for found in (data, again):
        np.testing.assert_array_equal(found.train.images, expected.train.images)
        np.testing.assert_array_equal(found.test.labels, expected.test.labels)
    assert data.classes[:2] == ["T-shirt/top", "Trouser"]
    assert data.classes[9] == "Ankle boot"
    assert cached(tmp_path) == sorted(path.name for path in folder.glob("*.gz"))


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda path: path.unlink(), "HTTP Error 404"),
        (lambda path: path.write_bytes(path.read_bytes()[:-99]), "ended before"),
        (lambda path: path.write_bytes(b"<html>Log in</html>"), "Not a gzipped file"),
        (lambda path: path.write_bytes(gzip.compress(b"other")), "the MD5 sum of what came is"),
        (lambda path: path.write_bytes(b""), "the MD5 sum of what came is"),
    ],
)
def test_a_spoilt_download_is_refused_and_not_kept(served, tmp_path, spoil, message):
    folder, _ = served
    spoil(folder / f"{NAME}.gz")
    with pytest.raises(OSError, match=f"{NAME}.gz cannot be downloaded: .*{message}") as caught:
        minivit.load_digits("fashion-mnist")
    assert "install Debian's package dataset-fashion-mnist" in str(caught.value)
    assert f"{NAME}.gz" not in cached(tmp_path)


def test_without_a_network_it_says_what_to_do(served, tmp_path, monkeypatch):
    monkeypatch.setattr(fashion, "URL", "http://127.0.0.1:1")
    with pytest.raises(OSError, match=r"refused.*\. Try again later; or install Debian's package"):
        minivit.load_digits("fashion-mnist")
    assert cached(tmp_path) == []


def test_a_file_in_the_cache_that_is_damaged_is_named(served, tmp_path):
    minivit.load_digits("fashion-mnist")
    path = tmp_path / "cache/minivit/fashion-mnist" / f"{NAME}.gz"
    raw = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(raw[:-1] + bytes([raw[-1] ^ 1])))
    with pytest.raises(ValueError, match=f"{path} is damaged: the MD5 sum"):
        minivit.load_digits("fashion-mnist")


def test_debians_package_comes_first(served, monkeypatch):
    folder, asked = served
    monkeypatch.setattr(fashion, "DEBIAN", folder)
    assert len(minivit.load_digits("fashion-mnist").train.labels) == 240
    assert not asked


def test_the_cache_is_in_the_home_folder(monkeypatch, tmp_path):
    cache = tmp_path / ".cache/minivit/fashion-mnist"
    cache.mkdir(parents=True)
    for name in fashion.MD5_SUMS:
        (cache / name).write_bytes(b"")  # unpacked files will do
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(fashion, "DEBIAN", tmp_path)
    assert fashion.fashion_mnist_folder() == cache


def test_the_real_files_where_debian_has_them():
    if not fashion.DEBIAN.is_dir():
        pytest.skip("needs Debian's package dataset-fashion-mnist")
    data = minivit.load_digits("fashion-mnist")
    assert data.train.images.shape == (60_000, 28, 28)
    assert data.test.images.shape == (10_000, 28, 28)
    np.testing.assert_array_equal(np.bincount(data.test.labels), [1000] * 10)
