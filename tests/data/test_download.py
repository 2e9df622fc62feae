import gzip
import hashlib
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import minivit
from minivit.data import download
from minivit.data.download import fetch
from tests.data.idx import few_digits
from tests.data.server import redirect, send, serving

NAME = "train-images-idx3-ubyte"
ALL = bytes(range(256)) * 1000
PATHS = {
    "/good": ALL,
    "/moved": redirect("/good"),
    "/no-length": lambda handler: handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + ALL),
    "/empty": b"",
    "/long": lambda handler: send(handler, bytes(300_001)),
    "/stall": lambda handler: time.sleep(1),
}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def test_fetch(monkeypatch):
    monkeypatch.setattr(download, "MOST_BYTES", 300_000)
    with serving(PATHS) as web:
        for path in ("/good", "/moved", "/no-length"):
            assert fetch(web + path, 5) == ALL
        assert fetch(f"{web}/empty", 5) == b""
        with pytest.raises(OSError, match="is larger than 300,000 bytes, the limit"):
            fetch(f"{web}/long", 5)
        with pytest.raises(TimeoutError, match=r"took longer than 0\.1 s"):
            fetch(f"{web}/stall", 0.1)


def endless_continue(handler):
    while True:
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def test_a_download_that_is_given_up_ends():
    before = set(threading.enumerate())
    with serving({"/100": endless_continue}) as web:
        with pytest.raises(TimeoutError, match=r"took longer than 0\.1 s"):
            fetch(f"{web}/100", 0.1)
        left = [thread for thread in threading.enumerate() if thread.name.startswith("fetch")]
        for thread in set(left) - before:
            thread.join(5)
            assert not thread.is_alive()


def test_all_files_of_fashion_mnist_share_one_limit(served, monkeypatch):
    asked = []
    monkeypatch.setattr(download, "FASHION_SECONDS", 100)
    monkeypatch.setattr(download.time, "monotonic", lambda: 30 * len(asked))

    def answer(url, seconds, progress):
        asked.append(seconds)
        return (served[0] / url.rpartition("/")[2]).read_bytes()

    monkeypatch.setattr(download, "fetch", answer)
    minivit.load_digits("fashion-mnist")
    assert asked == [100, 70, 40, 10]


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server of four small files in place of the real one, no Debian package, an empty cache."""
    folder, asked = few_digits(tmp_path / "served"), []

    def answer(handler):
        asked.append(handler.path)
        send(handler, (folder / handler.path[1:]).read_bytes())

    files = sorted(folder.iterdir())
    sums = {
        path.stem: hashlib.md5(gzip.decompress(path.read_bytes())).hexdigest() for path in files
    }
    monkeypatch.setattr(download, "FASHION_SUMS", sums)
    monkeypatch.setattr(download, "DEBIAN", tmp_path / "no package")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving({f"/{path.name}": answer for path in files}) as web:
        monkeypatch.setattr(download, "FASHION_URL", web)
        yield folder, asked


def cached(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_fashion_mnist_is_downloaded_once(served, tmp_path):
    folder, asked = served
    expected = minivit.load_digits(folder)
    for _ in range(2):
        data = minivit.load_digits("fashion-mnist")
        np.testing.assert_array_equal(data.train.images, expected.train.images)
        np.testing.assert_array_equal(data.test.labels, expected.test.labels)
    assert len(asked) == 4
    assert data.classes[:2] + data.classes[9:] == ["T-shirt/top", "Trouser", "Ankle boot"]
    assert cached(tmp_path) == sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda packed: packed[:-99], "ended before"),
        (lambda packed: b"<html>Log in</html>", "Not a gzipped file"),
        (lambda packed: gzip.compress(b"other"), "the MD5 sum of the download is"),
        (lambda packed: b"", "the MD5 sum of the download is"),
    ],
)
def test_a_spoilt_download_is_refused_and_not_stored(served, tmp_path, spoil, message):
    path = served[0] / f"{NAME}.gz"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(OSError, match=f"{NAME}.gz cannot be downloaded: .*{message}") as caught:
        minivit.load_digits("fashion-mnist")
    assert "install Debian's package dataset-fashion-mnist" in str(caught.value)
    assert f"{NAME}.gz" not in cached(tmp_path)


def test_without_a_network_it_says_what_to_do(served, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "FASHION_URL", "http://127.0.0.1:1")
    with pytest.raises(OSError, match=r"refused.*\. Try again later; or install Debian's package"):
        minivit.load_digits("fashion-mnist")
    assert cached(tmp_path) == []


def test_a_damaged_file_in_the_cache_is_named(served, tmp_path):
    minivit.load_digits("fashion-mnist")
    path = tmp_path / "cache/minivit/fashion-mnist" / f"{NAME}.gz"
    raw = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(raw[:-1] + bytes([raw[-1] ^ 1])))
    with pytest.raises(ValueError, match=f"{path} is damaged: the MD5 sum"):
        minivit.load_digits("fashion-mnist")


def test_debians_package_comes_first(served, monkeypatch):
    folder, asked = served
    monkeypatch.setattr(download, "DEBIAN", folder)
    assert len(minivit.load_digits("fashion-mnist").train.labels) == 240
    assert not asked


def test_the_cache_is_in_the_home_folder(monkeypatch, tmp_path):
    cache = tmp_path / ".cache/minivit/fashion-mnist"
    cache.mkdir(parents=True)
    for name in download.FASHION_SUMS:
        (cache / name).write_bytes(b"")  # unpacked files will do
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(download, "DEBIAN", tmp_path)
    assert download.fashion_mnist_folder() == cache


@pytest.mark.skipif(not download.DEBIAN.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_the_real_files_of_debian():
    data = minivit.load_digits("fashion-mnist")
    assert data.train.images.shape == (60_000, 28, 28)
    np.testing.assert_array_equal(np.bincount(data.test.labels), [1000] * 10)
