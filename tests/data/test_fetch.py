import re
import time

import pytest

from minivit.data import fetch as module
from minivit.data.fetch import fetch
from tests.data.server import drip, redirect, send, serving

OK = b"HTTP/1.0 200 OK\r\n"


def hop(handler):
    """Lead on for ever, each time to a new address."""
    redirect(handler.path + "x")(handler)


def endless(handler):
    handler.wfile.write(OK + b"\r\n")
    while True:
        handler.wfile.write(bytes(2**16))


def chunked(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nabc")


PATHS = {
    "/good": bytes(range(256)) * 1000,
    "/moved": redirect("/good"),
    "/no-length": lambda handler: handler.wfile.write(OK + b"\r\nall of it"),
    "/empty": b"",
    "/error": lambda handler: handler.send_error(500),
    "/gone": lambda handler: handler.send_error(410),
    "/stall": lambda handler: time.sleep(1),
    "/stall-later": lambda handler: (send(handler, b"abc", 6), time.sleep(1)),
    "/drip-header": drip(b"X", 50),
    "/drip-body": lambda handler: (send(handler, b"", 99), drip(b"X", 50)(handler)),
    "/short": lambda handler: send(handler, b"abc", 10),
    "/chunked": chunked,
    "/huge": lambda handler: send(handler, b"abc", 10**12),
    "/endless": endless,
    "/loop": redirect("/loop"),
    "/to-file": redirect("file:///etc/hostname"),
    "/to-ftp": redirect("ftp://127.0.0.1/a.png"),
    "/to-data": redirect("data:text/plain,abc"),
    "/to-nowhere": redirect("http://127.0.0.1:1/"),
    "/no-http": lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n"),
    "/no-answer": lambda handler: handler.connection.close(),
    "/long-header": lambda handler: handler.wfile.write(OK + b"X: " + b"x" * 10**5),
} | {f"/hop{'x' * count}": hop for count in range(20)}


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


@pytest.mark.parametrize(
    "path, error, message",
    [
        ("/missing", OSError, "answers 404 Not Found; expected an image"),
        ("/error", OSError, "answers 500 Internal Server Error"),
        ("/gone", OSError, "answers 410 Gone"),
        ("/stall", TimeoutError, r"took longer than 0\.4 s"),
        ("/stall-later", TimeoutError, r"took longer than 0\.4 s"),
        ("/drip-header", TimeoutError, r"took longer than 0\.4 s"),
        ("/drip-body", TimeoutError, r"took longer than 0\.4 s"),
        ("/short", OSError, "broke off, 7 bytes before its end"),
        ("/chunked", OSError, "broke off"),
        ("/huge", OSError, "is larger than 300,000 bytes"),
        ("/endless", OSError, "is larger than 300,000 bytes"),
        ("/loop", OSError, "answers 302 .* infinite loop"),
        ("/hop", OSError, "answers 302 .* infinite loop"),
        ("/to-file", OSError, "file:///etc/hostname' is not allowed"),
        ("/to-ftp", OSError, "unknown url type: ftp"),
        ("/to-data", OSError, "data:text/plain,abc' is not allowed"),
        ("/to-nowhere", OSError, "cannot be reached: .*refused"),
        ("/no-http", OSError, "cannot be read: BadStatusLine"),
        ("/no-answer", OSError, "cannot be re"),
        ("/long-header", OSError, "cannot be read: LineTooLong"),
        ("/a b", OSError, "cannot be read: InvalidURL"),
    ],
)
def test_refuses_in_one_line_and_in_time(web, path, error, message):
    began = time.monotonic()
    with pytest.raises(error, match=message) as caught:
        fetch(web + path)
    assert time.monotonic() - began < 0.9
    assert str(caught.value).startswith(web + path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "url, message",
    [
        ("http://127.0.0.1:1/a.png", "cannot be reached: .*refused"),
        ("http://", "cannot be re"),
        ("http://127.0.0.1:port/", "cannot be read: InvalidURL"),
        ("http://[::1/", "is no address of the web"),
        (f"http://{'a' * 70}.example/", "is no address of the web"),
        ("ftp://127.0.0.1/a.png", "unknown url type: ftp"),
        ("file:///etc/hostname", "unknown url type: file"),
    ],
)
def test_refuses_addresses_that_lead_nowhere(url, message):
    with pytest.raises((OSError, ValueError), match=f"^{re.escape(url)} .*{message}"):
        fetch(url)
