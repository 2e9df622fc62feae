"""URLs that lead nowhere, and servers that stall, lie, break off, or redirect without end."""

import time

from minivit.data.download import fetch
from minivit.data.images import load_image
from tests.data.server import drip, redirect, send

from . import Row

OK = b"HTTP/1.0 200 OK\r\n"


def hop(handler):
    """Redirect without end, each time to a new address."""
    redirect(handler.path + "x")(handler)


def again_and_again(head, piece):
    """Send the head, and then a piece without end."""

    def answer(handler):
        handler.wfile.write(head)
        while True:
            handler.wfile.write(piece * 500)

    return answer


def direct(url):
    return fetch(url, 1)


def raw(data):
    """Answer with bytes that need not be HTTP."""
    return lambda handler: handler.wfile.write(data)


FOUND = b"HTTP/1.0 302 Found\r\nLocation: /empty\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LARGER = "is larger than 300,000 bytes"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SERVER = [  # path, what it answers, the message
    ("/missing", None, "answers 404 Not Found; check the address", OSError),
    ("/error", lambda handler: handler.send_error(500), "answers 500 Internal", OSError),
    ("/stall", lambda handler: time.sleep(1), r"took longer than 0\.4 s", TimeoutError),
    ("/stall-later", lambda handler: (send(handler, b"abc", 6), time.sleep(1)),
     r"took longer than 0\.4 s", TimeoutError),
    ("/drip-header", drip(b"X", 50), r"took longer than 0\.4 s", TimeoutError),
    ("/drip-body", lambda handler: (send(handler, b"", 99), drip(b"X", 50)(handler)),
     r"took longer than 0\.4 s", TimeoutError),
    ("/short", lambda handler: send(handler, b"abc", 10), "broke off 7 bytes before", OSError),
    ("/chunked", raw(CHUNKED + b"100\r\nabc"), "cannot be read: IncompleteRead", OSError),
    ("/chunk-of-no-size", raw(CHUNKED + b"many\r\nabc"), "cannot be read: IncompleteRead", OSError),
    ("/huge", lambda handler: send(handler, b"abc", 10**12), "is larger than 300,000", OSError),
    ("/endless", again_and_again(OK + b"\r\n", bytes(99)), LARGER, OSError),
    ("/endless-redirect", again_and_again(FOUND, bytes(99)), LARGER, OSError),
    ("/endless-error", again_and_again(b"HTTP/1.0 500 X\r\n\r\n", bytes(99)),
     "answers 500 X", OSError),
    ("/endless-trailers", again_and_again(CHUNKED + b"0\r\n", b"X: x\r\n"), LARGER, OSError),
    ("/endless-chunks", again_and_again(CHUNKED, b"1\r\nX\r\n"),
     f"{LARGER}|took longer than", OSError),
    ("/endless-100", again_and_again(b"", CONTINUE), LARGER, OSError),
    ("/drip-redirect", lambda handler: (handler.wfile.write(FOUND), drip(b"X", 50)(handler)),
     r"took longer than 0\.4 s", TimeoutError),
    ("/drip-100", drip(CONTINUE, 50), r"took longer than 0\.4 s", TimeoutError),
    ("/drip-trailers", lambda handler: (handler.wfile.write(CHUNKED + b"0\r\n"),
                                        drip(b"X: x\r\n", 50)(handler)),
     r"took longer than 0\.4 s", TimeoutError),
    ("/escapes", raw(b"HTTP/1.0 500 \x1b[2J\x1b]0;owned\x07\r\n\r\n"),
     r"answers 500 \?\[2J\?\]0;owned", OSError),
    ("/long-reason", raw(b"HTTP/1.0 500 " + b"x" * 60_000 + b"\r\n\r\n"),
     "answers 500 x{200}; check", OSError),
    ("/long-status", raw(b"x" * 60_000 + b"\r\n"),
     "cannot be read: BadStatusLine.{180,200}; check", OSError),
    ("/escapes-in-redirect", redirect("http://\x1b[2J/"),
     "redirects to what is none", ValueError),
    ("/length-below-0", lambda handler: send(handler, b"abc", -5), "begins with 61", ValueError),
    ("/length-of-words", lambda handler: send(handler, b"abc", "long"), "begins with 61",
     ValueError),
    ("/empty", b"", "is not an image, .*: it is empty", ValueError),
    ("/log-in", b"<html>Log in</html>", "is not an image, .*: it begins with 3c", ValueError),
    ("/loop", redirect("/loop"), "answers 302 .* infinite loop", OSError),
    ("/hop", hop, "answers 302 .* infinite loop", OSError),
    ("/to-file", redirect("file:///etc/hostname"), "hostname' is not allowed", OSError),
    ("/to-ftp", redirect("ftp://127.0.0.1/a.png"), "unknown url type: ftp", OSError),
    ("/to-data", redirect("data:text/plain,abc"), "abc' is not allowed", OSError),
    ("/to-nowhere", redirect("http://127.0.0.1:1/"), "cannot be read: .*refused", OSError),
    ("/to-nothing", redirect(""), "answers 302 .* infinite loop", OSError),
    ("/no-http", raw(b"SSH-2.0-OpenSSH\r\n"), "cannot be read: BadStatusLine", OSError),
    ("/no-answer", lambda handler: handler.connection.close(), "cannot be read", OSError),
    ("/long-header", raw(OK + b"X: " + b"x" * 10**5), "cannot be read: LineTooLong", OSError),
    ("/many-headers", raw(OK + b"X: x\r\n" * 10**4 + b"\r\n"), "got more than 100 headers",
     OSError),
    ("/a b", None, "is not a web address, or", ValueError),
]  # fmt: skip
PATHS = {path: answer for path, answer, _, _ in SERVER if answer is not None}
PATHS |= {f"/hop{'x' * count}": hop for count in range(20)}

ADDRESSES = [
    ("http://127.0.0.1:1/a.png", "cannot be read: .*refused", OSError),
    ("https://127.0.0.1:1/a.png", "cannot be read: .*refused", OSError),
    ("http://", "cannot be read", OSError),
    ("http:///a.png", "cannot be read: no host given", OSError),
    ("http://127.0.0.1:port/", "is not a web address", ValueError),
    ("http://127.0.0.1:-1/", "cannot be read", OSError),
    ("http://[::1/", "is not a web address", ValueError),
    ("http://127.0.0.1:1/\u00e4.png", "is not a web address", ValueError),
    (f"http://{'a' * 70}.example/", "is not a web address", ValueError),
    ("http://127.0.0.1:1/a\nb", r"^http://127.0.0.1:1/a\\nb is not a web address", ValueError),
    ("http://me:secret@127.0.0.1:1/a.png", "^the address at 127.0.0.1:1 holds a user name or a pas",
     ValueError),
]  # fmt: skip
ROWS = [
    Row(path, load_image, lambda place, path=path: place.web + path, message, error)
    for path, _, message, error in SERVER
]
ROWS += [
    Row(url[:60], load_image, lambda place, url=url: url, message, error)
    for url, message, error in ADDRESSES
]
ROWS += [
    Row(url[:4], direct, lambda place, url=url: url, "unknown url type", OSError)
    for url in ("ftp://127.0.0.1/a", "file:///etc/hostname")
]
