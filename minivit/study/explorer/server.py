"""A server for this machine alone, which shows the page and moves any number of the pass."""

import contextlib
import json
import math
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from ..tracing.nudge import loss_with, nudge
from .arrays import find
from .page import page_html
from .scores import SLOPE_STEP

LARGEST = 4096  # bytes in a request
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Refusal(Exception):
    """Why a request is refused, and the HTTP status that says so."""

    def __init__(self, status, sentence):
        super().__init__(sentence)
        self.status = status


def serve(trace, data, port=0):
    """Return a server of the page of a trace; its serve_forever() runs it.

    It listens on 127.0.0.1 only, at a free port unless one is given (server.server_port). It
    refuses requests that name another host or come from another page, as any website could make
    the browser send them.

        GET /         the page
        POST /slope   {"name": "blocks.0.attn.q", "index": [0, 1, 3, 5]} ->
                      {"slope": central difference, "gradient", "gradient_source": of the Record}
        POST /nudge   {"name": …, "index": …, "eps": 0.1} -> {"before", "after": losses}

    A slope or a loss that is not a number, as for a negative variance, is null; "why" says so.
    """
    page = page_html(data, live=True).encode()

    class Handler(BaseHTTPRequestHandler):
        timeout = 30  # seconds of silence, after which a connection is closed

        def handle(self):
            with contextlib.suppress(ConnectionError):  # the tab was closed before the answer
                super().handle()

        def do_GET(self):
            self.answer(self.page)

        def do_POST(self):
            self.answer(self.move)

        def answer(self, method):
            try:
                self.check_host()
                kind, body = method()
                status = 200
            except Refusal as refusal:
                status, kind = refusal.status, "application/json"
                body = json.dumps({"error": str(refusal)}).encode()
            self.send_response(status)
            headers = {"Content-Type": kind, "Content-Length": str(len(body)), **HEADERS}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def check_host(self):
            port = self.server.server_port
            hosts = [f"127.0.0.1:{port}", f"localhost:{port}"]
            host, origin = self.headers.get("Host"), self.headers.get("Origin")
            if host not in hosts or origin not in (None, *(f"http://{name}" for name in hosts)):
                raise Refusal(403, f"this server answers only {hosts[0]} and its own page")

        def page(self):
            if self.path != "/":
                raise Refusal(404, f"there is no {self.path}; the page is at /")
            return "text/html; charset=utf-8", page

        def move(self):
            if self.path not in ANSWERS:
                raise Refusal(404, f"there is no {self.path}; expected {' or '.join(ANSWERS)}")
            if self.headers.get_content_type() != "application/json":
                raise Refusal(415, "expected Content-Type: application/json")
            length = self.headers.get("Content-Length", "")
            if not (length.isascii() and length.isdecimal()):
                raise Refusal(411, "expected a Content-Length")
            if len(length) > 20 or int(length) > LARGEST:  # more digits than Python converts
                raise Refusal(413, f"expected at most {LARGEST} bytes, got {length}")
            fields, function, why = ANSWERS[self.path]
            try:
                question = read_question(trace, self.rfile.read(int(length)), fields)
            except (ValueError, KeyError, IndexError, RecursionError) as error:
                raise Refusal(400, str(error.args[0])) from None
            with np.errstate(all="ignore"):  # the answer says what is not a number
                answer = jsonable(function(trace, *question), why)
            return "application/json", json.dumps(answer, allow_nan=False).encode()

        def log_message(self, *_):
            """Print nothing for a request."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def read_question(trace, body, fields):
    """[Record, index] or [Record, index, eps] of a request, {"name": …, "index": …, "eps": …}.

    Errors: ValueError, KeyError, IndexError or RecursionError for anything else.
    """
    request = json.loads(body)
    if not isinstance(request, dict) or request.keys() != set(fields):
        raise ValueError(f"expected an object with {', '.join(fields)}")
    name, index, eps = request["name"], request["index"], request.get("eps", 0)
    if not isinstance(name, str):
        raise ValueError(f"name must be a text, got {name!r}")
    if not isinstance(index, list) or not all(
        type(place) is int and abs(place) < 2**31 for place in index
    ):
        raise ValueError(f"index must be a list of integers, got {index!r}")
    if type(eps) not in (int, float) or not abs(eps) <= 1e3:
        raise ValueError(f"eps must be a number from -1000 to 1000, got {eps!r}")
    record = find(trace, name)
    if not record.movable:
        raise ValueError(f"{name} cannot be moved, as no loss depends on it")
    if len(index) != record.value.ndim:
        raise IndexError(f"{name} has the shape {record.shape}; got the index {index}")
    record.value[tuple(index)]  # an IndexError if it is out of bounds
    return [record, tuple(index), eps][: len(fields)]


def slope_of(trace, record, index):
    """The slope of the loss, the gradient, and where the gradient comes from."""
    slope, gradient = nudge(trace, record, index, SLOPE_STEP)
    return {"slope": slope, "gradient": gradient, "gradient_source": record.gradient_source}


def loss_after(trace, record, index, eps):
    """The loss before and after one number is moved by eps."""
    return {"before": trace.loss, "after": loss_with(trace, record, index, eps)}


def jsonable(answer, why):
    """The answer with None, and "why", for what is not a number; JSON cannot say nan."""
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in answer.items()
    }
    return finite | ({"why": why} if None in finite.values() else {})


ANSWERS = {  # path: fields of the request, function that answers it, what a None means
    "/slope": (["name", "index"], slope_of, "so near to this number the loss is not a number"),
    "/nudge": (["name", "index", "eps"], loss_after, "with this ε the loss is not a number"),
}
