"""A web server on loopback whose answers a test chooses."""

import contextlib
import http.server
import threading
import time


@contextlib.contextmanager
def serving(paths):
    """Serve {path: bytes, or a function of the handler} on loopback; yield the server's URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answer = paths.get(self.path)
            if answer is None:
                self.send_error(404)
            elif callable(answer):
                with contextlib.suppress(OSError):  # the client may have left
                    answer(self)
            else:
                send(self, answer)

        def log_message(self, form, *values):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send(handler, data, length=None, status=200):
    """Answer with `data`, and claim that it is `length` bytes long."""
    handler.send_response(status)
    handler.send_header("Content-Length", len(data) if length is None else length)
    handler.end_headers()
    handler.wfile.write(data)


def redirect(location):
    """Redirect to another place, every time."""

    def answer(handler):
        handler.send_response(302)
        handler.send_header("Location", location)
        handler.send_header("Content-Length", 0)
        handler.end_headers()

    return answer


def drip(piece, count):
    """Send a piece every 20 ms, so that each single wait is short."""

    def answer(handler):
        for _ in range(count):
            handler.wfile.write(piece)
            time.sleep(0.02)

    return answer
