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
import zlib
from concurrent.futures import Future
from pathlib import Path
from urllib import error, request

from tqdm import tqdm

from ..files import write_file

MOST_BYTES = 2**26
CHUNK = 2**16  # bytes read at once
HANDLERS = (  # urllib's, except those for ftp:, file: and data:, where a redirect may lead
    request.ProxyHandler, request.HTTPHandler, request.HTTPSHandler, request.UnknownHandler,
    request.HTTPRedirectHandler, request.HTTPErrorProcessor, request.HTTPDefaultErrorHandler,
)  # fmt: skip

FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
FASHION_SECONDS = 600  # for each file
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

    seconds:  the limit for the whole call, redirects included
    progress: show a progress bar if stderr is a terminal

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
            answer.set_result(_download(url, seconds, progress))
        except Exception as failure:
            answer.set_exception(failure)

    # A socket's timeout covers one read, and a server may send a byte at a time. So the caller
    # stops waiting at the limit, and the thread is left to end by itself.
    threading.Thread(target=work, daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError:
        raise TimeoutError(
            f"{url} took longer than {seconds:g} s; try again later, or give a downloaded file"
        ) from None


def printable(name: object) -> str:
    """Return the name of a file or a URL on one line, without control characters."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in str(name))


def _download(url, seconds, progress):
    opener, data = request.OpenerDirector(), bytearray()
    for handler in HANDLERS:
        opener.add_handler(handler())
    opener.addheaders = [("User-Agent", "minivit")]
    bar = dict(desc=url.rpartition("/")[2], unit="B", unit_scale=True)
    bar["disable"] = None if progress else True
    try:
        with opener.open(url, timeout=2 * seconds) as answer:  # the caller gives up first
            promised = answer.length or 0  # 0 if the server does not say
            with tqdm(total=promised or None, **bar) as shown:
                while max(promised, len(data)) <= MOST_BYTES and (chunk := answer.read1(CHUNK)):
                    data += chunk
                    shown.update(len(chunk))
            missing = answer.length
    except error.HTTPError as failure:
        failure.close()  # it holds the connection
        reason = " ".join(str(failure.reason).split())
        raise OSError(f"{url} answers {failure.code} {reason}; check the address") from None
    except (http.client.InvalidURL, ValueError):  # a space in it, or a port that is not a number
        raise ValueError(f"{url} is not a web address; check its spelling") from None
    except (http.client.HTTPException, OSError) as failure:
        reason = getattr(failure, "reason", None) or repr(failure)
        raise OSError(f"{url} cannot be read: {reason}; check the address, or try again") from None
    if max(promised, len(data)) > MOST_BYTES:
        raise OSError(f"{url} is larger than {MOST_BYTES:,} bytes, the limit")
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
    for name, md5 in FASHION_SUMS.items():
        path = cache / f"{name}.gz"
        if path.is_file() or path.with_suffix("").is_file():
            continue
        url = f"{FASHION_URL}/{name}.gz"
        try:
            packed = fetch(url, FASHION_SECONDS, progress=True)
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
