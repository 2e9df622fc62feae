"""A server on this machine alone, which shows the page and moves any number of the pass."""

import json
import math
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ..nudge import loss_with, nudge
from .arrays import find
from .page import page_html
from .scores import SLOPE_STEP

LARGEST = 4096  # bytes in a request
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Refusal(Exception):
    """A request that is not answered: the status, and a sentence that says why."""

    def __init__(self, status, sentence):
        super().__init__(sentence)
        self.status = status


def serve(trace, data, port=0):
    """Return a server of the page of a trace, to be run by its serve_forever().

    It listens on 127.0.0.1 alone, at a free port unless one is given (server.server_port), and
    refuses a request that names another host: a stranger's page could else send one to it.

        GET /         the page
        POST /nudge   {"name": "blocks.0.attn.q", "index": [0, 1, 3, 5], "eps": 0.1} ->
                      {"before", "after": losses, "slope": central difference, "gradient": by hand}
    """
    page = page_html(data, live=True).encode()

    class Handler(BaseHTTPRequestHandler):
        timeout = 30  # seconds of silence, after which a connection is closed

        def do_GET(self):
            self.answer(lambda: self.page())

        def do_POST(self):
            self.answer(lambda: self.nudge())

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
                raise Refusal(403, f"only {hosts[0]} is served, to its own page")

        def page(self):
            if self.path != "/":
                raise Refusal(404, f"there is no {self.path}; the page is at /")
            return "text/html; charset=utf-8", page

        def nudge(self):
            if self.path != "/nudge":
                raise Refusal(404, f"there is no {self.path}; numbers are moved at /nudge")
            if self.headers.get_content_type() != "application/json":
                raise Refusal(415, "expected Content-Type: application/json")
            length = self.headers.get("Content-Length", "")
            if not (length.isascii() and length.isdecimal()):
                raise Refusal(411, "expected a Content-Length")
            if int(length) > LARGEST:
                raise Refusal(413, f"expected at most {LARGEST} bytes, got {length}")
            answer = moved(trace, *asked(self.rfile.read(int(length))))
            return "application/json", json.dumps(answer).encode()

        def log_message(self, *_):
            """Leave the terminal to what the demo prints."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def asked(body):
    """The name, index and eps of a request. Errors: Refusal."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "expected JSON") from None
    if not isinstance(request, dict) or request.keys() != {"name", "index", "eps"}:
        raise Refusal(400, 'expected an object of "name", "index" and "eps"')
    name, index, eps = request["name"], request["index"], request["eps"]
    if not isinstance(name, str):
        raise Refusal(400, f"name must be a text, got {name!r}")
    if not isinstance(index, list) or not all(is_place(number) for number in index):
        raise Refusal(400, f"index must be a list of integers, got {index!r}")
    if type(eps) not in (int, float) or not (math.isfinite(eps) and abs(eps) <= 1e3):
        raise Refusal(400, f"eps must be a number from -1000 to 1000, got {eps!r}")
    return name, tuple(index), eps


def is_place(number):
    return type(number) is int and abs(number) < 2**31


def moved(trace, name, index, eps):
    """The loss before and after one number is moved by eps, and the slope beside the gradient."""
    try:
        record = find(trace, name)
        slope, gradient = nudge(trace, record, index, SLOPE_STEP)
    except (KeyError, ValueError, IndexError) as error:
        raise Refusal(400, str(error.args[0])) from None
    after = loss_with(trace, record, index, eps)
    return {"before": trace.loss, "after": after, "slope": slope, "gradient": gradient}
