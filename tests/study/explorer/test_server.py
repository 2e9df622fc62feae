import contextlib
import http.client
import json
import socket
import socketserver
import struct
import threading

import numpy as np
import pytest

from minivit.study import nudge
from minivit.study.explorer.scores import SLOPE_STEP
from minivit.study.explorer.server import ANSWERS, LARGEST, serve
from minivit.study.tracing.nudge import loss_with
from tests.study.explorer.cases import small_data, small_trace, traced

ASKED = {"name": "blocks.1.attn.q", "index": [0, 2, 1, 3], "eps": 0.5}


@contextlib.contextmanager
def served(record):
    with serve(record, small_data()) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def port():
    with served(small_trace()) as port:
        yield port


def request(port, method="POST", path="/nudge", body=None, **headers):
    """The status, the headers and the body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    body = json.dumps(ASKED) if body is None and method == "POST" else body
    kind = {"Content-Type": "application/json"} if method == "POST" else {}
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, kind | headers)
    answer = connection.getresponse()
    found = answer.status, answer.headers, answer.read()
    connection.close()
    return found


def test_shows_the_page(port):
    status, headers, body = request(port, "GET", "/")
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    assert body.startswith(b"<!doctype html>") and b'"live": true' in body
    assert request(port, "GET", "/", Host=f"localhost:{port}")[0] == 200


@pytest.mark.parametrize(
    "name, index",
    [
        ("blocks.1.attn.q", [0, 2, 1, 3]),
        ("blocks.0.attn.scores@0", [0, 1, 2, 3]),
        ("blocks.0.mlp.fc1.w", [3, 4]),
        ("images", [0, 5, 6, 0]),
        ("ln.normed", [0, 1, 2]),
    ],
)
def test_moves_any_number(port, name, index):
    place, record = {"name": name, "index": index}, small_trace()
    versions = record.versions(name.removesuffix("@0"))
    moved = versions[0] if name.endswith("@0") else versions[-1]
    found = answer_of(port, "/slope", **place)
    expected = nudge(record, moved, index, SLOPE_STEP)._asdict()
    assert found == expected | {"gradient_source": moved.gradient_source}
    assert found["slope"] == pytest.approx(found["gradient"], rel=1e-3, abs=1e-9)
    after = loss_with(record, moved, tuple(index), 0.5)
    assert answer_of(port, "/nudge", **place, eps=0.5) == dict(before=record.loss, after=after)


def answer_of(port, path, **question):
    status, headers, body = request(port, path=path, body=json.dumps(question))
    assert status == 200 and headers["Content-Type"] == "application/json"
    return json.loads(body, parse_constant=pytest.fail)


def test_a_loss_that_is_not_a_number_is_said_to_be_none(port):
    place = {"name": "blocks.0.ln1.var", "index": [0, 1, 0]}
    answer = answer_of(port, "/nudge", **place, eps=-1e2)
    assert answer["after"] is None and answer["why"] == "with this ε the loss is not a number"
    assert answer_of(port, "/slope", **place)["gradient_source"] == "complex step"


def test_a_slope_that_is_not_a_number_is_said_to_be_none():
    record = traced()
    dict(record.params.named())["blocks.0.attn.qkv.w"][...] = np.inf
    with served(record) as port:
        answer = answer_of(port, "/slope", name="images", index=[0, 0, 0, 0])
        assert answer["slope"] is None and "the loss is not a number" in answer["why"]


def test_a_tab_that_is_closed_during_an_answer_is_no_error(monkeypatch):
    closed, errors, done = threading.Event(), [], threading.Event()

    def slow(*_, **__):
        assert closed.wait(10)
        return {}

    monkeypatch.setitem(ANSWERS, "/nudge", (["name", "index", "eps"], slow, ""))
    monkeypatch.setattr(socketserver.BaseServer, "handle_error", lambda *_: errors.append(1))
    with served(small_trace()) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(
            "POST", "/nudge", json.dumps(ASKED), {"Content-Type": "application/json"}
        )
        at_once = struct.pack("ii", 1, 0)  # closes with a reset, as a browser does
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        shut = socketserver.TCPServer.shutdown_request
        monkeypatch.setattr(
            socketserver.TCPServer, "shutdown_request", lambda *args: (shut(*args), done.set())
        )
        connection.close()
        closed.set()
        assert done.wait(10)
    assert not errors


def test_only_this_machines_own_page_is_answered(port):
    hosts = [{"Host": "evil.example"}, {"Host": f"127.0.0.1:{port + 1}"}]
    for headers in [*hosts, {"Origin": "http://evil.example"}, {"Origin": "null"}]:
        status, _, body = request(port, **headers)
        assert status == 403 and "answers only 127.0.0.1" in json.loads(body)["error"]
        assert request(port, "GET", "/", **headers)[0] == 403
    assert request(port, Origin=f"http://127.0.0.1:{port}")[0] == 200
    with serve(small_trace(), small_data()) as server:
        assert server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "body, words",
    [
        ("no", "Expecting value"),
        ("[" * 2000, "recursion"),
        ("[]", "expected an object with name, index, eps"),
        (ASKED | {"more": 1}, "expected an object with"),
        (ASKED | {"name": 3}, "name must be a text, got 3"),
        (ASKED | {"name": "nothing"}, "no array is called 'nothing'; similar:"),
        (ASKED | {"name": "images@7"}, "has the versions 0 to"),
        (ASKED | {"name": "blocks.0.attn.dq"}, "cannot be moved"),
        (ASKED | {"index": 3}, "index must be a list of integers, got 3"),
        (ASKED | {"index": [0, 0, 0, 1.5]}, "index must be a list of integers"),
        (ASKED | {"index": [0, 0]}, "has the shape (1, 3, 6, 4); got the index [0, 0]"),
        (ASKED | {"index": [0, 0, 0, 99]}, "out of bounds"),
        (ASKED | {"index": [0, 0, 0, 10**30]}, "index"),
        (ASKED | {"eps": "1"}, "eps must be a number from -1000 to 1000, got '1'"),
        (ASKED | {"eps": float("nan")}, "eps must be a number"),
        (ASKED | {"eps": 1e9}, "eps must be a number"),
        (ASKED | {"eps": 10**400}, "eps must be a number"),
    ],
)
def test_says_what_is_wrong_with_a_request(port, body, words):
    body = body if isinstance(body, str) else json.dumps(body)
    status, headers, answer = request(port, body=body)
    assert status == 400 and headers["Content-Type"] == "application/json"
    assert words in json.loads(answer)["error"]


def test_refuses_other_paths_kinds_and_sizes(port):
    assert request(port, "GET", "/../setup.cfg")[0] == 404
    assert request(port, "GET", "/nudge")[0] == 404
    assert request(port, path="/")[0] == 404
    assert request(port, Content_Type="text/plain")[0] == 415
    assert request(port, Content_Length="x")[0] == 411
    assert request(port, Content_Length=str(LARGEST + 1))[0] == 413
    assert request(port, Content_Length="9" * 5000)[0] == 413
    assert request(port, "PUT")[0] == 501
