"""Downloads, within limits of size and time; and Fashion-MNIST, which is downloaded when needed.

Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747): 70,000 grey images of 28 × 28 pixels, ten kinds
of clothing, in MNIST's format but harder. By Zalando Research, MIT licence,
https://github.com/zalandoresearch/fashion-mnist.
"""

import gzip
import hashlib
import http.client
import io
import os
import threading
import time
import zlib
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from urllib import error, request

from tqdm import tqdm

from ..files import one_line, write_file

MOST_BYTES = 2**26
CHUNK = 2**16  # bytes read at once
LONGEST = 200  # letters of what a server says that are repeated
HANDLERS = (  # urllib's, except those for ftp:, file: and data:, where a redirect may lead
    request.ProxyHandler, request.UnknownHandler, request.HTTPRedirectHandler,
    request.HTTPErrorProcessor, request.HTTPDefaultErrorHandler,
)  # fmt: skip

FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
FASHION_SECONDS = 600  # for all four files
DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # from the package dataset-fashion-mnist
FASHION_CLASSES = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
]  # fmt: skip
FASHION_SUMS = {  # MD5, of the unpacked files
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}


def fetch(url: str, seconds: float, progress: bool = False) -> bytes:
    """Return the bytes at an http or https URL.

    seconds:  the limit for the whole call
    progress: show a progress bar if stderr is a terminal

    One budget of seconds and of MOST_BYTES pays for all that a server sends: headers, redirects
    with their bodies, trailers.

    Errors, each naming the URL:
        ValueError:   not a web address, or one with a user name or password
        TimeoutError: longer than `seconds`
        OSError:      an error status, an endless redirect or one to another protocol, an answer
                      that breaks off or is larger than MOST_BYTES, a server that cannot be reached
    """
    _, at, host = url.partition("://")[2].partition("/")[0].rpartition("@")
    if at:
        raise ValueError(
            f"the address at {printable(host)} holds a user name or a password; expected one "
            "without, or a downloaded file"
        )
    if url != printable(url):
        raise ValueError(f"{printable(url)} is not a web address; check its spelling")
    answer: Future[bytes] = Future()

    def work():
        try:
            answer.set_result(_download(url, _Budget(seconds), progress))
        except Exception as failure:
            answer.set_exception(failure)

    # The look-up of a host's name has no time limit, and each of its addresses the whole one. So
    # the caller stops waiting at the limit, and the thread ends a little later.
    threading.Thread(target=work, name="fetch", daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError:
        raise TimeoutError(
            f"{url} took longer than {seconds:.3g} s; try again later, or give a downloaded file"
        ) from None


def printable(name: object) -> str:
    """Return the name of a file or a URL on one line, without control characters."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in str(name))


class _TooLarge(Exception):
    pass


class _Budget:
    """The seconds and bytes that are left of a download."""

    def __init__(self, seconds):
        self.end, self.bytes = time.monotonic() + seconds, MOST_BYTES
        self.answers = []

    def seconds(self):
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def spend(self, count):
        self.bytes -= count
        if self.bytes < 0:
            raise _TooLarge


class _Metered(io.RawIOBase):
    """What a socket sends, as long as the budget lasts."""

    def __init__(self, sock, raw, budget):
        self.sock, self.raw, self.budget = sock, raw, budget
        budget.answers.append(self)  # urllib leaves a redirect open that it cannot follow

    def readable(self):
        return True

    def readinto(self, buffer):
        self.sock.settimeout(self.budget.seconds())
        count = self.raw.readinto(buffer)
        self.budget.spend(count)
        return count

    def close(self):
        self.raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, budget, sock, *rest, **options):
        super().__init__(sock, *rest, **options)
        self.fp = io.BufferedReader(_Metered(sock, self.fp.detach(), budget))


class _OnBudget(request.AbstractHTTPHandler):
    """Lets each connection, of a redirect too, spend what is left."""

    def __init__(self, budget):
        super().__init__()
        self.budget = budget

    def do_open(self, kind, asked, **options):
        def connect(host, **more):
            connection = kind(host, **more | {"timeout": self.budget.seconds()})
            connection.response_class = partial(_Answer, self.budget)
            return connection

        return super().do_open(connect, asked, **options)


class _HTTP(_OnBudget, request.HTTPHandler):
    pass


class _HTTPS(_OnBudget, request.HTTPSHandler):
    pass


def _download(url, budget, progress):
    opener, data = request.OpenerDirector(), bytearray()
    for handler in (_HTTP(budget), _HTTPS(budget), *(kind() for kind in HANDLERS)):
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", "minivit")]
    bar = dict(desc=url.rpartition("/")[2], unit="B", unit_scale=True)
    bar["disable"] = None if progress else True
    try:
        with opener.open(url) as answer:
            promised = answer.length or 0  # 0 if the server does not say
            if promised > MOST_BYTES:
                raise _TooLarge
            with tqdm(total=promised or None, **bar) as shown:
                while chunk := answer.read1(CHUNK):
                    data += chunk
                    shown.update(len(chunk))
            missing = answer.length
    except _TooLarge:
        raise OSError(f"{url} is larger than {MOST_BYTES:,} bytes, the limit") from None
    except error.HTTPError as failure:
        reason = one_line(failure.reason, LONGEST)
        raise OSError(f"{url} answers {failure.code} {reason}; check the address") from None
    except (http.client.InvalidURL, ValueError):  # a space in it, or a port that is not a number
        raise ValueError(
            f"{url} is not a web address, or redirects to what is none; check its spelling"
        ) from None
    except (http.client.HTTPException, OSError) as failure:
        reason = getattr(failure, "reason", None) or repr(failure)
        if isinstance(reason, TimeoutError) or isinstance(failure, TimeoutError):
            raise TimeoutError from None  # `fetch` says so
        reason = one_line(reason, LONGEST)
        raise OSError(f"{url} cannot be read: {reason}; check the address, or try again") from None
    finally:
        for sent in budget.answers:
            sent.close()
    if missing:
        raise OSError(f"{url} broke off {missing} bytes before its end; try again")
    return bytes(data)


def fashion_mnist_folder() -> Path:
    """Return the folder with Fashion-MNIST's four files: Debian's, or else the cache.

    The cache is ~/.cache/minivit/fashion-mnist (or under XDG_CACHE_HOME). What it lacks is
    downloaded, and stored only if its checksum is right.

    Errors: OSError, saying what to do, if a file is missing and cannot be downloaded.
    """
    if all((DEBIAN / f"{name}.gz").is_file() for name in FASHION_SUMS):
        return DEBIAN
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(home, "minivit", "fashion-mnist")
    end = time.monotonic() + FASHION_SECONDS
    for name, md5 in FASHION_SUMS.items():
        path = cache / f"{name}.gz"
        if path.is_file() or path.with_suffix("").is_file():
            continue
        url = f"{FASHION_URL}/{name}.gz"
        try:
            packed = fetch(url, max(0, end - time.monotonic()), progress=True)
            with gzip.open(io.BytesIO(packed)) as file:
                actual = hashlib.md5(file.read(MOST_BYTES)).hexdigest()
            if actual != md5:
                raise OSError(f"the MD5 sum of the download is {actual}, expected {md5}")
        except (OSError, ValueError, EOFError, zlib.error) as failure:
            raise OSError(
                f"Fashion-MNIST is not on this machine, and {url} cannot be downloaded: {failure}. "
                "Try again later; or install Debian's package dataset-fashion-mnist; or put the "
                f"four idx files into {cache}"
            ) from failure
        cache.mkdir(parents=True, exist_ok=True)
        write_file(path, packed)
    return cache
