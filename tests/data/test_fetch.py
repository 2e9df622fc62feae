import time

import pytest

from minivit.data import fetch as module
from minivit.data.fetch import fetch
from tests.data.server import redirect, send, serving

PATHS = {
    "/good": bytes(range(256)) * 1000,
    "/moved": redirect("/good"),
    "/no-length": lambda handler: handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\nall of it"),
    "/empty": b"",
    "/long": lambda handler: send(handler, bytes(300_001)),
    "/stall": lambda handler: time.sleep(1),
}


@pytest.fixture(scope="module")
def web():
    with serving(PATHS) as address:
        yield address


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.4)
    monkeypatch.setattr(module, "MOST_BYTES", 300_000)
    monkeypatch.setenv("no_proxy", "*")


@pytest.mark.parametrize("path, length", [("/good", 256_000), ("/moved", 256_000), ("/empty", 0)])
def test_brings_the_bytes(web, path, length):
    data = fetch(web + path)
    assert data == PATHS["/good"][:length]


def test_an_answer_without_a_length_is_good(web):
    assert fetch(f"{web}/no-length") == b"all of it"


def test_one_byte_more_than_the_limit_is_refused(web):
    with pytest.raises(OSError, match="is larger than 300,000 bytes, the limit for an image"):
        fetch(f"{web}/long")


def test_nobody_waits_for_a_server_that_stalls(web):
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"took longer than 0\.4 s"):
        fetch(f"{web}/stall")
    assert time.monotonic() - began < 0.9
