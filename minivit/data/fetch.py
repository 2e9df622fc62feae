"""A file from the web, within limits of size and time, over http and https alone."""

import http.client
import threading
import urllib.error
import urllib.request
from concurrent.futures import Future

SECONDS = 20  # for the whole of it, redirects too
MOST_BYTES = 2**26
PIECE = 2**16  # bytes read at once
HANDLERS = [  # all of urllib's but those of ftp:, file: and data:, where a redirect may lead
    urllib.request.ProxyHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPRedirectHandler,
    urllib.request.HTTPErrorProcessor,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.UnknownHandler,
]


def fetch(url):
    """Return the bytes at an http or https URL.

    Errors, each naming the URL: TimeoutError after `SECONDS`; ValueError if it is no address, or
    one with a password;
    OSError for an error status, a redirect to anything but http and https or without end, an answer
    that breaks off or is larger than `MOST_BYTES`, and a server that cannot be reached.
    """
    _, at, host = url.partition("://")[2].partition("/")[0].rpartition("@")
    if at:
        raise ValueError(
            f"the address at {printable(host)} holds a user name or a password; expected one "
            "without, or a downloaded file"
        )
    if url != printable(url):
        raise ValueError(f"{printable(url)} is no address of the web; check its spelling")
    answer = Future()
    # A timeout of a socket is for one piece, and a server may send a byte at a time. So the one who
    # asked waits no longer than the limit, and the thread is left to end by itself.
    threading.Thread(target=_answer, args=(answer, url), daemon=True).start()
    try:
        return answer.result(SECONDS)
    except TimeoutError:
        raise TimeoutError(
            f"{url} took longer than {SECONDS:g} s; try again later, or give a downloaded file"
        ) from None


def printable(name):
    """The name of a file or an address, in one line and without what a terminal would obey."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in str(name))


def _answer(answer, url):
    """Set the outcome of `answer`: the bytes or the error."""
    try:
        answer.set_result(_download(url))
    except Exception as error:
        answer.set_exception(error)


def _download(url):
    opener = urllib.request.OpenerDirector()
    for handler in HANDLERS:
        opener.add_handler(handler())
    opener.addheaders = [("User-Agent", "minivit")]
    try:
        with opener.open(url, timeout=SECONDS) as answer:
            return _read(answer, url)
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        reason = " ".join(str(error.reason).split())
        raise OSError(f"{url} answers {error.code} {reason}; expected an image") from None
    except http.client.IncompleteRead as error:
        raise OSError(f"{url} broke off after {len(error.partial)} bytes; try again") from None
    except http.client.InvalidURL:  # a space in it, or a port that is no number
        raise ValueError(f"{url} is no address of the web; check its spelling") from None
    except http.client.HTTPException as error:
        raise OSError(f"{url} cannot be read: {error!r}; check the address") from None
    except urllib.error.URLError as error:
        raise OSError(f"{url} cannot be reached: {error.reason}; check the address") from None
    except ValueError:
        raise ValueError(f"{url} is no address of the web; check its spelling") from None


def _read(answer, url):
    """All bytes of an answer, if they are as many as it promised, and not too many."""
    promised = answer.length or 0  # 0 if it does not say
    data = bytearray()
    while max(promised, len(data)) <= MOST_BYTES and (piece := answer.read1(PIECE)):
        data += piece
    if max(promised, len(data)) > MOST_BYTES:
        raise OSError(f"{url} is larger than {MOST_BYTES:,} bytes, the limit for an image")
    if answer.length:  # what has not come
        raise OSError(f"{url} broke off, {answer.length} bytes before its end; try again")
    return bytes(data)
